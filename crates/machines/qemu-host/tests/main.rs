//! Hosts of QEMUs that are none, in virtual time: everything of the daemon but sockets, with the dialogue that QEMU 7.2 was seen to speak.

mod accounts;
mod faults;
mod hostile;
mod moves;
mod rig;
