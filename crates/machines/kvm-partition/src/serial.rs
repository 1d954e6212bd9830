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
/// Registers, as offsets from the first port, and their bits (documented: National Semiconductor's PC16550D).
mod register {
    /// Interrupt enable, while the divisor latch is not accessed.
    pub(super) const INTERRUPT_ENABLE: u8 = 1;
    /// Interrupt identification, when read.
    pub(super) const INTERRUPT_IDENTIFICATION: u8 = 2;
    pub(super) const LINE_CONTROL: u8 = 3;
    pub(super) const LINE_STATUS: u8 = 5;

    /// Of interrupt enable: received data.
    pub(super) const ENABLE_RECEIVED_DATA: u8 = 1;
    /// Of interrupt identification: no interrupt is pending.
    pub(super) const NONE_PENDING: u8 = 1;
    /// Of interrupt identification, where one is: received data.
    pub(super) const RECEIVED_DATA: u8 = 4;
    /// Of line control: the first two registers are the divisor latch.
    pub(super) const DIVISOR_LATCH: u8 = 0x80;
    /// Of line status: there is a byte to be read.
    pub(super) const DATA_READY: u8 = 1;
}

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
        match register {
            register::INTERRUPT_IDENTIFICATION => self.with_received_data(value),
            _ => value,
        }
    }

    /// What interrupt identification says, where it must not say that nothing is pending.
    ///
    /// A UART's interrupt of received data is pending as long as there are any (documented). `vm-superio` 0.8.2 takes it back with the first byte
    /// that is read: Linux reads 256 bytes at a time, asks whether there is more, and would leave the end of a longer line unread until somebody types
    /// again.
    fn with_received_data(&mut self, said: u8) -> u8 {
        let nothing = said & register::NONE_PENDING != 0;
        if nothing && self.interrupts_for_received_data() && self.has_data() {
            return said & !register::NONE_PENDING | register::RECEIVED_DATA;
        }
        said
    }

    fn has_data(&mut self) -> bool {
        self.uart.read(register::LINE_STATUS) & register::DATA_READY != 0
    }

    fn interrupts_for_received_data(&mut self) -> bool {
        self.uart.read(register::LINE_CONTROL) & register::DIVISOR_LATCH == 0
            && self.uart.read(register::INTERRUPT_ENABLE) & register::ENABLE_RECEIVED_DATA != 0
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

#[cfg(test)]
mod tests {
    use vmm_sys_util::eventfd::EFD_NONBLOCK;

    use super::*;
    use crate::event::MachineEvent;

    const DATA: u8 = 0;
    /// Bytes that Linux' driver takes before it asks again what is pending.
    const AT_A_TIME: usize = 256;

    struct Nobody;

    impl MachineObserver for Nobody {
        fn event(&self, event: MachineEvent) {
            panic!("{event:?}");
        }

        fn serial(&self, _port: u8, bytes: &[u8]) {
            panic!("printed {bytes:?}");
        }
    }

    /// A port before a driver has come, and its interrupt.
    fn port_without_driver() -> (SerialPort, EventFd) {
        let interrupt = EventFd::new(EFD_NONBLOCK).unwrap();
        (SerialPort::new(1, interrupt.try_clone().unwrap(), Arc::new(Nobody)), interrupt)
    }

    fn port() -> (SerialPort, EventFd) {
        let (mut port, interrupt) = port_without_driver();
        port.write(register::INTERRUPT_ENABLE, register::ENABLE_RECEIVED_DATA);
        (port, interrupt)
    }

    /// What Linux' 8250 driver does when the interrupt comes.
    fn interrupted(port: &mut SerialPort) -> Vec<u8> {
        let mut read = Vec::new();
        while port.read(register::INTERRUPT_IDENTIFICATION) & register::NONE_PENDING == 0 {
            for _ in 0..AT_A_TIME {
                if port.read(register::LINE_STATUS) & register::DATA_READY == 0 {
                    break;
                }
                read.push(port.read(DATA));
            }
        }
        read
    }

    #[test]
    fn a_line_of_any_length_is_read_to_its_end() {
        for length in 0..600 {
            let (mut port, interrupt) = port();
            let line: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            port.input(&line);
            assert_eq!(interrupt.read().is_ok(), length > 0, "{length} bytes");
            assert!(interrupted(&mut port) == line, "{length} bytes");
        }
    }

    /// What was typed while the handler ran interrupts again, or is read by that run.
    #[test]
    fn what_comes_piece_by_piece_is_read_or_interrupts() {
        let (mut port, interrupt) = port();
        let (mut typed, mut read) = (Vec::new(), Vec::new());
        for piece in 1..100usize {
            let bytes = vec![piece as u8; piece];
            port.input(&bytes);
            typed.extend(bytes);
            if piece % 3 != 0 {
                continue;
            }
            assert!(interrupt.read().is_ok(), "piece {piece}");
            assert_eq!(port.read(register::INTERRUPT_IDENTIFICATION) & register::NONE_PENDING, 0);
            read.push(port.read(DATA));
            port.input(b"x");
            typed.push(b'x');
            read.extend(interrupted(&mut port));
            assert!(read == typed, "piece {piece}");
        }
    }

    #[test]
    fn looking_what_is_pending_takes_nothing_back() {
        let (mut port, _interrupt) = port();
        port.input(b"a");
        for _ in 0..3 {
            let said = port.read(register::INTERRUPT_IDENTIFICATION);
            assert_eq!(said & 0x0f, register::RECEIVED_DATA, "{said:#x}");
        }
        // Not enabled: nothing is pending, whatever the divisor latch has in that place.
        port.write(register::INTERRUPT_ENABLE, 0);
        assert_eq!(port.read(register::INTERRUPT_IDENTIFICATION) & 0x0f, register::NONE_PENDING);
        port.write(register::LINE_CONTROL, register::DIVISOR_LATCH);
        port.write(register::INTERRUPT_ENABLE, 0xff);
        assert_eq!(port.read(register::INTERRUPT_IDENTIFICATION) & 0x0f, register::NONE_PENDING);
        port.write(register::LINE_CONTROL, 0);
        port.write(register::INTERRUPT_ENABLE, register::ENABLE_RECEIVED_DATA);
        assert_eq!(interrupted(&mut port), b"a");
    }

    #[test]
    fn data_typed_before_the_driver_listens_interrupt_when_it_does() {
        let (mut port, interrupt) = port_without_driver();
        port.input(b"early");
        assert!(interrupt.read().is_err());
        port.write(register::INTERRUPT_ENABLE, register::ENABLE_RECEIVED_DATA);
        assert!(interrupt.read().is_ok());
        assert_eq!(interrupted(&mut port), b"early");
    }
}
