//! Static memory: everyone keeps the startup RAM.
