//! Page numbers, page ranges, range sets, and host frames as owned values.
