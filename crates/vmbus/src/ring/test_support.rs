//! For tests and fuzz targets of this crate and of those that use it.
