//! Sessions: the traffic of the clients by name, for the operator.

mod totals;

pub use totals::{UsagePage, UsageTotals, UserUsage};
