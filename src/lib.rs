//! halfhour

pub mod embedded_postgres;
