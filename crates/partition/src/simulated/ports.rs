//! Where the guest's hypercalls arrive.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use model_sync::{Mutex, RwLock};

use crate::Doorbell;
use crate::synic::{ConnectionInUse, HvStatus, Message, POST_BUFFERS};

#[derive(Default)]
pub(super) struct Ports {
    messages: RwLock<Table<Arc<Port>>>,
    events: RwLock<Table<Doorbell>>,
}

/// Ports by connection id. A partition has a handful of each kind, so they lie next to each other.
struct Table<T>(Vec<(u32, T)>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Table<T> {
    fn find(&self, connection_id: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&connection_id, |&(known, _)| known)
    }

    fn get(&self, connection_id: u32) -> Option<&T> {
        self.find(connection_id).ok().map(|at| &self.0[at].1)
    }

    fn open(&mut self, connection_id: u32, port: T) -> Result<(), ConnectionInUse> {
        let at = self.find(connection_id).err().ok_or(ConnectionInUse { connection_id })?;
        self.0.insert(at, (connection_id, port));
        Ok(())
    }

    fn close(&mut self, connection_id: u32) {
        if let Ok(at) = self.find(connection_id) {
            self.0.remove(at);
        }
    }
}

struct Port {
    buffers: Mutex<VecDeque<Message>>,
    doorbell: Doorbell,
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages: Vec<u32> = self.messages.read().0.iter().map(|&(id, _)| id).collect();
        let events: Vec<u32> = self.events.read().0.iter().map(|&(id, _)| id).collect();
        f.debug_struct("Ports").field("messages", &messages).field("events", &events).finish()
    }
}

impl Ports {
    pub(super) fn open_messages(
        &self,
        connection_id: u32,
        doorbell: Doorbell,
    ) -> Result<(), ConnectionInUse> {
        let port = Arc::new(Port { buffers: Mutex::default(), doorbell });
        self.messages.write().open(connection_id, port)
    }

    pub(super) fn close_messages(&self, connection_id: u32) {
        self.messages.write().close(connection_id);
    }

    pub(super) fn open_events(&self, connection_id: u32, doorbell: Doorbell) -> Result<(), ConnectionInUse> {
        self.events.write().open(connection_id, doorbell)
    }

    pub(super) fn close_events(&self, connection_id: u32) {
        self.events.write().close(connection_id);
    }

    fn message_port(&self, connection_id: u32) -> Option<Arc<Port>> {
        self.messages.read().get(connection_id).cloned()
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
        let Some(doorbell) = self.events.read().get(connection_id).cloned() else {
            return HvStatus::InvalidConnectionId;
        };
        if flag != 0 {
            return HvStatus::InvalidParameter;
        }
        doorbell();
        HvStatus::Success
    }

    pub(super) fn drop_messages(&self) {
        for (_, port) in &self.messages.read().0 {
            port.buffers.lock().clear();
        }
    }
}
