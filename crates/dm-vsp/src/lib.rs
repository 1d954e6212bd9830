//! The host side of Dynamic Memory: the DM VSP.
