//! The guest side of Dynamic Memory: the DM VSC driver.
