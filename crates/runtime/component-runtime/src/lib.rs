//! Components, doorbells, clocks and drivers: how the parts of the stack run.
//!
//! The sources do not describe this layer: it stands where threads, events and waits of the hypervisor, the kernel and the
//! services would be. The crate owns time, the order in which things happen, and the lives of components. The crate knows
//! nothing of memory, VMs or protocols, and never looks into a message.
//!
//! # The driving contract
//!
//! A [`Component`] is a state machine. The runtime *wakes* a component when there is input for it, and the component says how
//! to go on:
//!
//! 1. A wake has a time, [`Context::now`], that does not change while it lasts, and a [`WakeCause`] that says what came since
//!    the last wake, all together.
//! 2. The component handles inputs, at most its budget: [`Context::recv`] returns `None` when the budget has ended, and the
//!    runtime wakes the component again a little later. Inputs from elsewhere are counted with [`Context::spend`].
//! 3. The component returns [`NextWake::Idle`], [`NextWake::At`] with its one timer, [`NextWake::Again`] or
//!    [`NextWake::Stopped`]. Messages and doorbells wake it in any case. Each return value replaces the timer before it.
//! 4. The component never blocks, never sleeps, and reads no clock.
//! 5. Messages to one mailbox arrive in the order in which they were sent. Nothing arrives at the instant at which it was sent:
//!    every message and every ring takes [`RunConfig::latency`], so virtual time always gets on.
//!
//! Under the virtual clock one component is awake at a time, in the order of (time, sequence number taken when the wake was
//! scheduled), and time jumps to the next wake. Both drivers ask the same scheduler, so the same components with the same seeds
//! do the same in the same order, with threads or without. Under the wall clock time is elapsed time multiplied by a speed: with threads
//! all components run at once, without them one after the other, whenever something has come for them.
//!
//! ```
//! use component_runtime::{
//!     Address, Component, Context, Driver, EndReason, Mailbox, NextWake, RunConfig, Runtime, SimTime, WakeCause,
//! };
//!
//! /// Sends back what it gets, less one, until nothing is left.
//! struct Player {
//!     inbox: Mailbox<u32>,
//!     other: Address<u32>,
//! }
//!
//! impl Component for Player {
//!     fn wake(&mut self, _now: SimTime, _cause: WakeCause, ctx: &mut Context<'_>) -> NextWake {
//!         while let Some(ball) = ctx.recv(&mut self.inbox) {
//!             if ball > 0 {
//!                 ctx.send(&self.other, ball - 1);
//!             }
//!         }
//!         NextWake::Idle
//!     }
//! }
//!
//! let mut runtime = Runtime::new(RunConfig::virtual_time(Driver::Inline))?;
//! let (ping, pong) = (runtime.seat("ping", None), runtime.seat("pong", None));
//! let (to_ping, ping_inbox) = ping.mailbox();
//! let (to_pong, pong_inbox) = pong.mailbox();
//! runtime.send(&to_ping, 9);
//! ping.start(Box::new(Player { inbox: ping_inbox, other: to_pong }));
//! pong.start(Box::new(Player { inbox: pong_inbox, other: to_ping }));
//!
//! let end = runtime.run();
//! assert_eq!(end.reason, EndReason::Idle);
//! assert_eq!(end.time, SimTime::from_micros(100)); // ten messages of 10 µs
//! # Ok::<(), component_runtime::ConfigError>(())
//! ```
//!
//! # Start and end of a component
//!
//! A component gets its place, a [`Seat`], before it exists, so that addresses can be handed out; [`Seat::start`] puts it in.
//! A component ends by [`NextWake::Stopped`], by [`Context::kill`], or by a panic, which is caught and takes no other
//! component down. The component is dropped on its own thread, together with its mailboxes and the messages in them (so
//! what they own
//! comes home), and then those who asked for it with [`Seat::on_exit`] are told. Sending to a component that is gone drops the
//! message.
//!
//! When the run ends, the components that live are dropped, the last started first, and no notices are sent.
#![forbid(unsafe_code)]

#[cfg_attr(shuttle, path = "clock/model.rs")]
mod clock;
mod component;
mod config;
mod doorbell;
mod drivers;
mod end;
mod exit;
mod id;
pub mod lanes;
mod mailbox;
mod pace;
mod paced;
mod pulse;
pub mod random;
mod recording;
mod route;
mod run;
mod runtime;
mod schedule;
#[cfg(all(test, shuttle))]
mod shuttle_models;
mod sync;
mod time;
pub mod trace;
mod virtual_time;
mod wake;
mod wall;
#[cfg(not(any(loom, shuttle)))]
mod watchdog;

pub use component::{Component, Context, Seat, from_fn};
pub use config::{BeforeWake, ClockMode, ConfigError, Driver, RunConfig};
pub use doorbell::Doorbell;
pub use end::{ComponentPanic, EndReason, RunEnd};
pub use exit::{ExitNotice, ExitReason};
pub use id::ComponentId;
pub use mailbox::{Address, Mailbox};
pub use recording::{MachineRecorder, MachineValue, MachineValueError};
pub use runtime::{Runtime, StopHandle};
pub use time::SimTime;
pub use wake::{NextWake, WakeCause};
