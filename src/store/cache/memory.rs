//! Answers kept in the process.

use super::LIFE;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Most answers that are kept.
const CAPACITY: usize = 1_024;

/// A map that forgets what is too old, and the oldest when it is full.
#[derive(Debug, Default)]
pub(super) struct Memory {
    kept: Mutex<HashMap<String, (Instant, String)>>,
}

impl Memory {
    /// What is kept under a name and not too old.
    pub(super) fn take(&self, name: &str) -> Option<String> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(name).filter(|(at, _)| at.elapsed() < LIFE).map(|(_, text)| text.clone())
    }

    /// Keeps a text in the place of what is there.
    pub(super) fn keep(&self, name: &str, text: String) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= CAPACITY && !kept.contains_key(name) {
            kept.retain(|_, (at, _)| at.elapsed() < LIFE);
            let oldest = kept.iter().min_by_key(|(_, (at, _))| *at).map(|(name, _)| name.clone());
            if let Some(oldest) = oldest.filter(|_| kept.len() >= CAPACITY) {
                kept.remove(&oldest);
            }
        }
        kept.insert(name.to_owned(), (Instant::now(), text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_memory_forgets_the_oldest() {
        let memory = Memory::default();
        for i in 0..=CAPACITY {
            memory.keep(&i.to_string(), i.to_string());
        }
        assert_eq!(memory.take("0"), None);
        assert_eq!(memory.take("1").as_deref(), Some("1"));
        assert_eq!(memory.kept.lock().unwrap().len(), CAPACITY);
        memory.keep("1", "new".to_owned());
        assert_eq!(memory.take("1").as_deref(), Some("new"));
    }
}
