//! vibeusage, as its tracker calls: reports, signs of life, link codes and device tokens, by both names of each route.

mod reports;
