//! A slab: values at stable `u32` places, places used again.

use prefetch_index::prefetch_index;

const CHUNK_BITS: u32 = 9;
const CHUNK: usize = 1 << CHUNK_BITS;

/// Values at stable places. It grows by chunks that never move: no copies, no holes in memory, no pause.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    chunks: Vec<Box<[T; CHUNK]>>,
    free: Vec<u32>,
    /// How many places there are, those in use and those that are free.
    begun: usize,
    used: usize,
}

impl<T: Default> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), begun: 0, used: 0 }
    }

    /// Keeps `value`; returns its place.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        self.used += 1;
        if let Some(at) = self.free.pop() {
            self[at] = value;
            return at;
        }
        let at = u32::try_from(self.begun).expect("limits keep a slab below four billion values");
        self.begin(at);
        self[at] = value;
        at
    }

    /// Makes all places up to `at`.
    fn begin(&mut self, at: u32) {
        self.begun = self.begun.max(at as usize + 1);
        while self.chunks.len() << CHUNK_BITS < self.begun {
            let chunk: Box<[T]> = std::iter::repeat_with(T::default).take(CHUNK).collect();
            self.chunks.push(chunk.try_into().ok().expect("a chunk has its size"));
        }
    }

    /// The next value that is inserted is kept at `at`, where there must be none. What is left out is not used before
    /// [`Slab::fill_gaps`].
    pub(crate) fn place_next(&mut self, at: u32) {
        self.begin(at);
        self.free.push(at);
    }

    /// The places that `is_used` does not tell of are used again. All that are in use have to be among the others.
    pub(crate) fn fill_gaps(&mut self, is_used: impl Fn(u32) -> bool) {
        self.free = self.places().rev().filter(|at| !is_used(*at)).collect();
    }

    /// Forgets the value at `at`, which must be in use.
    pub(crate) fn remove(&mut self, at: u32) -> T {
        self.used -= 1;
        self.free.push(at);
        std::mem::take(&mut self[at])
    }

    /// Fetches the value at `at`, if one was ever there.
    #[inline]
    pub(crate) fn fetch(&self, at: u32) {
        if let Some(chunk) = self.chunks.get((at >> CHUNK_BITS) as usize) {
            prefetch_index(chunk.as_slice(), at as usize & (CHUNK - 1));
        }
    }

    /// The value at `at`, to be changed, if a value was ever there.
    #[inline]
    pub(crate) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.chunks.get_mut((at >> CHUNK_BITS) as usize).map(|chunk| &mut chunk[at as usize & (CHUNK - 1)])
    }

    /// As [`Slab::get_mut`], to be read.
    #[inline]
    pub(crate) fn get(&self, at: u32) -> Option<&T> {
        self.chunks.get((at >> CHUNK_BITS) as usize).map(|chunk| &chunk[at as usize & (CHUNK - 1)])
    }

    /// All places, those that are free too.
    pub(crate) fn places(&self) -> std::ops::Range<u32> {
        0..self.begun as u32
    }

    /// How many values are in use.
    pub(crate) fn len(&self) -> usize {
        self.used
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, at: u32) -> &T {
        &self.chunks[(at >> CHUNK_BITS) as usize][at as usize & (CHUNK - 1)]
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, at: u32) -> &mut T {
        &mut self.chunks[(at >> CHUNK_BITS) as usize][at as usize & (CHUNK - 1)]
    }
}
