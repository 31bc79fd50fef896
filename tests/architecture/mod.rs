//! The map of the rules: first how files are read, then one file per family of rules.

mod rust;
mod rust_reader;
mod rust_tokens;
mod sql;
mod sql_lists;
mod sql_references;
mod tree;

mod circles;
mod circles_planted;
mod dependencies;
mod dependencies_planted;
mod documents;
mod floors;
mod floors_planted;
mod lists;
mod lists_planted;
mod migrations;
mod names;
mod ownership;
mod ownership_planted;
mod package;
mod queries;
mod queries_unchecked;
mod rows;
mod slices;
mod sql_formulas;
mod state;
