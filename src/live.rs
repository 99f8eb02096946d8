//! Values that a reload replaces while others read them, without a lock.

use std::fmt::{self, Debug};
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

/// Value that many read and a reload replaces as a whole. A clone is another handle to it.
pub struct Live<T>(Arc<ArcSwap<T>>);

impl<T> Live<T> {
    /// Creates a handle to a first value.
    pub fn new(value: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(value)))
    }

    /// Returns the current value. Hold it for one decision, so that this decision sees one state.
    pub fn load(&self) -> Guard<Arc<T>> {
        self.0.load()
    }

    /// Replaces the value.
    pub fn store(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Default> Default for Live<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: Debug> Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Debug::fmt(&*self.load(), f)
    }
}
