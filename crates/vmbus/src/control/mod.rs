//! The control plane: channel messages and the state machines of both sides.
