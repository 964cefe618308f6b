//! A slab: values at stable `u32` places, places used again.

/// Values at stable places. It grows by an eighth, so that little lies idle.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    values: Vec<T>,
    free: Vec<u32>,
}

impl<T: Default> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { values: Vec::new(), free: Vec::new() }
    }

    /// Keeps `value`; returns its place.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        if let Some(at) = self.free.pop() {
            self.values[at as usize] = value;
            return at;
        }
        if self.values.len() == self.values.capacity() {
            self.values.reserve_exact(self.values.len() / 8 + 16);
        }
        let at = u32::try_from(self.values.len()).expect("limits keep a slab below four billion values");
        self.values.push(value);
        at
    }

    /// Forgets the value at `at`, which must be in use.
    pub(crate) fn remove(&mut self, at: u32) -> T {
        self.free.push(at);
        std::mem::take(&mut self.values[at as usize])
    }

    /// How many values are in use.
    pub(crate) fn len(&self) -> usize {
        self.values.len() - self.free.len()
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, at: u32) -> &T {
        &self.values[at as usize]
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, at: u32) -> &mut T {
        &mut self.values[at as usize]
    }
}
