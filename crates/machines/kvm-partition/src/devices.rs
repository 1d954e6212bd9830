//! The few devices without which a kernel does not boot, or boots with a delay: serial ports, CMOS, power and reset.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::Mutex;
use vmm_sys_util::eventfd::EventFd;

use crate::event::{MachineEvent, MachineObserver};
use crate::serial::{PORTS, SERIAL_PORTS, SerialPort};

/// ACPI's sleep control register (the port is ours to choose; the tables name it).
pub(crate) const SLEEP_CONTROL_PORT: u16 = 0x600;
/// ACPI's sleep status register.
pub(crate) const SLEEP_STATUS_PORT: u16 = 0x601;
/// ACPI's reset register.
pub(crate) const RESET_PORT: u16 = 0x602;
pub(crate) const RESET_VALUE: u8 = 1;
/// Sleep control: SLP_EN, with the value 5 that `_S5` names in the SLP_TYP field (documented, ACPI 4.8.3.7).
const SLEEP_NOW: u8 = 1 << 5;
const POWER_OFF: u8 = SLEEP_NOW | 5 << 2;

const KEYBOARD_CONTROLLER: u16 = 0x64;
const KEYBOARD_RESET: u8 = 0xfe;
const CMOS_INDEX: u16 = 0x70;
const CMOS_DATA: u16 = 0x71;

/// Devices on I/O ports.
pub(crate) struct Devices {
    serial: Vec<(u16, Mutex<SerialPort>)>,
    cmos_index: AtomicU8,
}

impl Devices {
    /// `interrupts` are those of the serial ports, in their order.
    pub(crate) fn new(interrupts: Vec<EventFd>, observer: &Arc<dyn MachineObserver>) -> Self {
        let serial = SERIAL_PORTS
            .iter()
            .zip(interrupts)
            .map(|(&(index, base, _), interrupt)| {
                (base, Mutex::new(SerialPort::new(index, interrupt, Arc::clone(observer))))
            })
            .collect();
        Self { serial, cmos_index: AtomicU8::new(0) }
    }

    fn serial(&self, port: u16) -> Option<(&Mutex<SerialPort>, u8)> {
        self.serial.iter().find_map(|(base, serial)| {
            let register = port.checked_sub(*base).filter(|&register| register < PORTS)?;
            Some((serial, register as u8))
        })
    }

    /// Types into serial port `index` (from 1).
    pub(crate) fn input(&self, index: u8, bytes: &[u8]) {
        let place = SERIAL_PORTS.iter().position(|(number, ..)| *number == index);
        if let Some((_, serial)) = place.and_then(|place| self.serial.get(place)) {
            serial.lock().input(bytes);
        }
    }

    /// Reads of a port, each `width` bytes wide: a string instruction reads the same port again and again.
    pub(crate) fn read_all(&self, port: u16, width: usize, data: &mut [u8]) {
        for access in data.chunks_mut(width) {
            for (port, byte) in ports(port).zip(access) {
                *byte = self.read(port);
            }
        }
    }

    /// Writes to a port, each `width` bytes wide, and what the machine does then.
    pub(crate) fn write_all(&self, port: u16, width: usize, data: &[u8]) -> Option<MachineEvent> {
        data.chunks(width)
            .find_map(|access| ports(port).zip(access).find_map(|(port, &byte)| self.write(port, byte)))
    }

    /// A byte read from a port. Where nothing is, the bus floats high.
    fn read(&self, port: u16) -> u8 {
        if let Some((serial, register)) = self.serial(port) {
            return serial.lock().read(register);
        }
        match port {
            CMOS_DATA => cmos(self.cmos_index.load(Ordering::Relaxed)),
            KEYBOARD_CONTROLLER | SLEEP_CONTROL_PORT | SLEEP_STATUS_PORT => 0,
            _ => 0xff,
        }
    }

    /// A byte written to a port, and what the machine does then.
    fn write(&self, port: u16, value: u8) -> Option<MachineEvent> {
        if let Some((serial, register)) = self.serial(port) {
            serial.lock().write(register, value);
            return None;
        }
        match (port, value) {
            (CMOS_INDEX, index) => self.cmos_index.store(index & 0x7f, Ordering::Relaxed),
            (SLEEP_CONTROL_PORT, POWER_OFF) => return Some(MachineEvent::PoweredOff),
            (RESET_PORT, RESET_VALUE) | (KEYBOARD_CONTROLLER, KEYBOARD_RESET) => {
                return Some(MachineEvent::Reset);
            }
            _ => {}
        }
        None
    }
}

/// The bytes of one access wider than a byte are those of the ports that follow each other.
fn ports(first: u16) -> impl Iterator<Item = u16> {
    (0..).map(move |offset| first.wrapping_add(offset))
}

/// The real-time clock's registers. The date is always the same (invented): a guest that needs the time asks the network.
fn cmos(index: u8) -> u8 {
    match index {
        // Seconds, minutes, hours, day of week, day, month, year, century: BCD.
        0x00 | 0x02 => 0x00,
        0x04 => 0x12,
        0x06 => 0x05,
        0x07 | 0x08 => 0x01,
        0x09 => 0x26,
        0x32 => 0x20,
        // Status: divider running, no update in progress; 24 hours, BCD; battery good.
        0x0a => 0x26,
        0x0b => 0x02,
        0x0d => 0x80,
        _ => 0,
    }
}
