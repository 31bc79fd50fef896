//! halfhour
