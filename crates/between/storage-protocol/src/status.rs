//! Codes: operations, and how they went.

use core::fmt;

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident($type:ty) { $($(#[$code_doc:meta])* $code:ident = $value:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $type);

        impl $name {
            $($(#[$code_doc])* pub const $code: Self = Self($value);)*

            /// Its name, if it is known.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self.0 { $($value => Some($text),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{:#x}", self.0),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

codes! {
    /// What a packet is (documented).
    Operation(u32) {
        /// The completion of any other.
        COMPLETE_IO = 1, "COMPLETE_IO";
        /// Host to guest: a device is gone.
        REMOVE_DEVICE = 2, "REMOVE_DEVICE";
        /// A SCSI command.
        EXECUTE_SRB = 3, "EXECUTE_SRB";
        /// Reset of a logical unit.
        RESET_LUN = 4, "RESET_LUN";
        /// Reset of the controller.
        RESET_ADAPTER = 5, "RESET_ADAPTER";
        /// Reset of a bus.
        RESET_BUS = 6, "RESET_BUS";
        /// The first of a handshake.
        BEGIN_INITIALIZATION = 7, "BEGIN_INITIALIZATION";
        /// The last of a handshake.
        END_INITIALIZATION = 8, "END_INITIALIZATION";
        /// Which version the guest would like.
        QUERY_PROTOCOL_VERSION = 9, "QUERY_PROTOCOL_VERSION";
        /// What the host serves.
        QUERY_PROPERTIES = 10, "QUERY_PROPERTIES";
        /// Host to guest: disks came or went.
        ENUMERATE_BUS = 11, "ENUMERATE_BUS";
        /// Fibre Channel; not served.
        FC_HBA_DATA = 12, "FC_HBA_DATA";
        /// More channels.
        CREATE_SUB_CHANNELS = 13, "CREATE_SUB_CHANNELS";
        /// An event; not sent.
        EVENT_NOTIFICATION = 14, "EVENT_NOTIFICATION";
    }
}

codes! {
    /// How an operation of the protocol went (documented: NTSTATUS).
    NtStatus(u32) {
        /// Done.
        SUCCESS = 0, "SUCCESS";
        /// The data make no sense.
        INVALID_PARAMETER = 0xc000_000d, "INVALID_PARAMETER";
        /// This version is not spoken.
        REVISION_MISMATCH = 0xc000_0059, "REVISION_MISMATCH";
        /// Not served.
        NOT_SUPPORTED = 0xc000_00bb, "NOT_SUPPORTED";
        /// Not now: the handshake has an order.
        INVALID_DEVICE_STATE = 0xc000_0184, "INVALID_DEVICE_STATE";
    }
}

codes! {
    /// How a SCSI command went on its way to the device (documented).
    SrbStatus(u8) {
        /// Done.
        SUCCESS = 1, "SUCCESS";
        /// It failed; the SCSI status says how.
        ERROR = 4, "ERROR";
        /// The controller has as many requests as it takes.
        BUSY = 5, "BUSY";
        /// The request makes no sense.
        INVALID_REQUEST = 6, "INVALID_REQUEST";
        /// More data than the buffer has room for.
        DATA_OVERRUN = 0x12, "DATA_OVERRUN";
        /// There is no such logical unit.
        INVALID_LUN = 0x20, "INVALID_LUN";
        /// It failed, and sense data say how.
        ERROR_WITH_SENSE = 0x84, "ERROR with sense data";
    }
}

codes! {
    /// How a SCSI command went in the device (documented: SAM-5).
    ScsiStatus(u8) {
        /// Done.
        GOOD = 0, "GOOD";
        /// It failed; there are sense data.
        CHECK_CONDITION = 2, "CHECK CONDITION";
        /// Not now: try again.
        BUSY = 8, "BUSY";
    }
}
