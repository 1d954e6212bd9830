//! Policies on the same loads with the same seeds, measured and compared.
pub mod loads;
