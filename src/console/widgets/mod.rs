//! Drawing and editing that any feature uses: painter, theme, text input, highlights, time zones.

pub(crate) mod highlight;
pub(crate) mod painter;
pub(crate) mod picker;
pub(crate) mod prompt;
pub(crate) mod scrolling;
pub(crate) mod text_input;
pub(crate) mod theme;
pub(crate) mod time_zone;
