//! A 16550 UART: what the guest prints goes out, what is typed comes in.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;

use vm_superio::serial::NoEvents;
use vm_superio::{Serial, Trigger};
use vmm_sys_util::eventfd::EventFd;

use crate::event::MachineObserver;

/// Serial ports: number, first I/O port, interrupt (documented: those of a PC).
pub const SERIAL_PORTS: [(u8, u16, u32); 2] = [(1, 0x3f8, 4), (2, 0x2f8, 3)];
/// I/O ports of a UART.
pub(crate) const PORTS: u16 = 8;
/// Bytes that wait for a guest that does not read, at most (invented); more are dropped.
const WAITING_INPUT: usize = 4096;

struct Line(EventFd);

impl Trigger for Line {
    type E = io::Error;
    fn trigger(&self) -> io::Result<()> {
        self.0.write(1)
    }
}

struct Output {
    port: u8,
    observer: Arc<dyn MachineObserver>,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.observer.serial(self.port, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One serial port.
pub(crate) struct SerialPort {
    uart: Serial<Line, NoEvents, Output>,
    waiting: VecDeque<u8>,
}

impl SerialPort {
    pub(crate) fn new(port: u8, interrupt: EventFd, observer: Arc<dyn MachineObserver>) -> Self {
        let uart = Serial::new(Line(interrupt), Output { port, observer });
        Self { uart, waiting: VecDeque::new() }
    }

    pub(crate) fn read(&mut self, register: u8) -> u8 {
        let value = self.uart.read(register);
        self.feed();
        value
    }

    pub(crate) fn write(&mut self, register: u8, value: u8) {
        // A guest that loops back into a full queue loses the byte, as on real hardware.
        let _ = self.uart.write(register, value);
        self.feed();
    }

    /// Types into the port.
    pub(crate) fn input(&mut self, bytes: &[u8]) {
        let room = WAITING_INPUT.saturating_sub(self.waiting.len());
        self.waiting.extend(bytes.iter().take(room));
        self.feed();
    }

    fn feed(&mut self) {
        while !self.waiting.is_empty() && self.uart.fifo_capacity() > 0 {
            let take = self.waiting.len().min(self.uart.fifo_capacity());
            let bytes: Vec<u8> = self.waiting.drain(..take).collect();
            match self.uart.enqueue_raw_bytes(&bytes) {
                Ok(taken) if taken == bytes.len() => {}
                Ok(taken) => {
                    for &byte in bytes[taken..].iter().rev() {
                        self.waiting.push_front(byte);
                    }
                    return;
                }
                // In loop-back mode: the guest is testing its UART.
                Err(_) => return,
            }
        }
    }
}
