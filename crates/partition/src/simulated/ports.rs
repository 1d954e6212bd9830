//! Where the guest's hypercalls arrive.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use model_sync::{Mutex, RwLock};

use crate::Doorbell;
use crate::synic::{ConnectionInUse, HvStatus, Message, POST_BUFFERS};

#[derive(Default)]
pub(super) struct Ports {
    messages: RwLock<BTreeMap<u32, Arc<Port>>>,
    events: RwLock<BTreeMap<u32, Doorbell>>,
}

struct Port {
    buffers: Mutex<VecDeque<Message>>,
    doorbell: Doorbell,
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages: Vec<u32> = self.messages.read().keys().copied().collect();
        let events: Vec<u32> = self.events.read().keys().copied().collect();
        f.debug_struct("Ports").field("messages", &messages).field("events", &events).finish()
    }
}

fn open<T>(ports: &RwLock<BTreeMap<u32, T>>, connection_id: u32, port: T) -> Result<(), ConnectionInUse> {
    match ports.write().entry(connection_id) {
        Entry::Vacant(vacant) => {
            vacant.insert(port);
            Ok(())
        }
        Entry::Occupied(_) => Err(ConnectionInUse { connection_id }),
    }
}

impl Ports {
    pub(super) fn open_messages(
        &self,
        connection_id: u32,
        doorbell: Doorbell,
    ) -> Result<(), ConnectionInUse> {
        let port = Arc::new(Port { buffers: Mutex::default(), doorbell });
        open(&self.messages, connection_id, port)
    }

    pub(super) fn close_messages(&self, connection_id: u32) {
        self.messages.write().remove(&connection_id);
    }

    pub(super) fn open_events(&self, connection_id: u32, doorbell: Doorbell) -> Result<(), ConnectionInUse> {
        open(&self.events, connection_id, doorbell)
    }

    pub(super) fn close_events(&self, connection_id: u32) {
        self.events.write().remove(&connection_id);
    }

    fn message_port(&self, connection_id: u32) -> Option<Arc<Port>> {
        self.messages.read().get(&connection_id).cloned()
    }

    pub(super) fn take_message(&self, connection_id: u32) -> Option<Message> {
        self.message_port(connection_id)?.buffers.lock().pop_front()
    }

    pub(super) fn post(&self, connection_id: u32, message: Message) -> HvStatus {
        let Some(port) = self.message_port(connection_id) else { return HvStatus::InvalidConnectionId };
        {
            let mut buffers = port.buffers.lock();
            if buffers.len() >= POST_BUFFERS {
                return HvStatus::InsufficientBuffers;
            }
            buffers.push_back(message);
        }
        (port.doorbell)();
        HvStatus::Success
    }

    pub(super) fn signal(&self, connection_id: u32, flag: u16) -> HvStatus {
        let Some(doorbell) = self.events.read().get(&connection_id).cloned() else {
            return HvStatus::InvalidConnectionId;
        };
        if flag != 0 {
            return HvStatus::InvalidParameter;
        }
        doorbell();
        HvStatus::Success
    }

    pub(super) fn drop_messages(&self) {
        for port in self.messages.read().values() {
            port.buffers.lock().clear();
        }
    }
}
