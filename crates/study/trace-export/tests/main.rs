//! A short run, exported in every format and read again.

mod chrome;
mod damaged;
mod fixture;
mod grafana;
#[cfg(feature = "parquet")]
mod parquet;
mod perfetto;
mod tables;
mod wireshark;
