//! Pages of runs: what is in them, what they say of runs that are not whole, and how they behave in a browser.

mod browser;
mod folders;
mod in_browser;
mod runs;
