//! The channels to compare with.

use std::sync::mpsc;
use std::thread::Thread;

use crate::ends::{CAPACITY, Message, Receiver, Sender};

pub(crate) fn crossbeam() -> (crossbeam_channel::Sender<Message>, crossbeam_channel::Receiver<Message>) {
    crossbeam_channel::bounded(CAPACITY)
}

pub(crate) fn std_channel() -> (mpsc::SyncSender<Message>, mpsc::Receiver<Message>) {
    mpsc::sync_channel(CAPACITY)
}

impl Sender for crossbeam_channel::Sender<Message> {
    fn meet(&mut self, _: Thread) {}
    #[inline]
    fn send(&mut self, message: &Message) {
        crossbeam_channel::Sender::send(self, *message).expect("the receiver lives");
    }
    fn flush(&mut self) {}
}

impl Receiver for crossbeam_channel::Receiver<Message> {
    fn meet(&mut self, _: Thread) {}
    #[inline]
    fn receive(&mut self, mut take: impl FnMut(&Message)) {
        take(&self.recv().expect("the sender lives"));
    }
}

impl Sender for mpsc::SyncSender<Message> {
    fn meet(&mut self, _: Thread) {}
    #[inline]
    fn send(&mut self, message: &Message) {
        mpsc::SyncSender::send(self, *message).expect("the receiver lives");
    }
    fn flush(&mut self) {}
}

impl Receiver for mpsc::Receiver<Message> {
    fn meet(&mut self, _: Thread) {}
    #[inline]
    fn receive(&mut self, mut take: impl FnMut(&Message)) {
        take(&self.recv().expect("the sender lives"));
    }
}
