//! Where the guest's hypercalls arrive.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use model_sync::{Mutex, RwLock};
use smallvec::SmallVec;

use crate::notify::NotifyFn;
use crate::synic::{ConnectionInUse, HvStatus, Message, POST_BUFFERS};

#[derive(Default)]
pub(super) struct Ports {
    messages: RwLock<BTreeMap<u32, Arc<Port>>>,
    events: RwLock<EventPorts>,
}

/// In the order of their connection ids. A VM has one or two, and the guest signals all the time: they are at hand.
type EventPorts = SmallVec<[(u32, NotifyFn); 2]>;

fn find(ports: &EventPorts, connection_id: u32) -> Result<usize, usize> {
    ports.binary_search_by_key(&connection_id, |&(known, _)| known)
}

struct Port {
    buffers: Mutex<VecDeque<Message>>,
    notify: NotifyFn,
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages: Vec<u32> = self.messages.read().keys().copied().collect();
        let events: Vec<u32> = self.events.read().iter().map(|&(connection_id, _)| connection_id).collect();
        f.debug_struct("Ports").field("messages", &messages).field("events", &events).finish()
    }
}

impl Ports {
    pub(super) fn open_messages(&self, connection_id: u32, notify: NotifyFn) -> Result<(), ConnectionInUse> {
        match self.messages.write().entry(connection_id) {
            Entry::Vacant(vacant) => {
                vacant.insert(Arc::new(Port { buffers: Mutex::default(), notify }));
                Ok(())
            }
            Entry::Occupied(_) => Err(ConnectionInUse { connection_id }),
        }
    }

    pub(super) fn close_messages(&self, connection_id: u32) {
        self.messages.write().remove(&connection_id);
    }

    pub(super) fn open_events(&self, connection_id: u32, notify: NotifyFn) -> Result<(), ConnectionInUse> {
        let mut events = self.events.write();
        match find(&events, connection_id) {
            Ok(_) => Err(ConnectionInUse { connection_id }),
            Err(place) => {
                events.insert(place, (connection_id, notify));
                Ok(())
            }
        }
    }

    pub(super) fn close_events(&self, connection_id: u32) {
        let mut events = self.events.write();
        if let Ok(place) = find(&events, connection_id) {
            events.remove(place);
        }
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
        (port.notify)();
        HvStatus::Success
    }

    pub(super) fn signal(&self, connection_id: u32, flag: u16) -> HvStatus {
        let notify = {
            let events = self.events.read();
            let Ok(place) = find(&events, connection_id) else { return HvStatus::InvalidConnectionId };
            Arc::clone(&events[place].1)
        };
        if flag != 0 {
            return HvStatus::InvalidParameter;
        }
        notify();
        HvStatus::Success
    }

    pub(super) fn drop_messages(&self) {
        for port in self.messages.read().values() {
            port.buffers.lock().clear();
        }
    }
}
