//! A short run, exported in every format and read again.

mod chrome;
mod fixture;
mod perfetto;
mod tables;
mod wireshark;
