//! What touches the world: the loop, the executor of tasks and what it gives them, the terminal, the log.

pub(crate) mod context;
pub(crate) mod event_loop;
pub(crate) mod executor;
pub(crate) mod frames;
pub(crate) mod logging;
pub(crate) mod terminal;
