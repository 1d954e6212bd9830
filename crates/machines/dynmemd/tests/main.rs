//! The daemon as a program: with QEMU's guests where they are asked for (`cargo xtask test --qemu`), and alone.

mod alone;
mod guests;
mod libvirt;
mod packaging;
mod qmp_client;
mod reaction;
mod real_qemu;
