//! The shipped allocator (jemalloc), with a count of its calls and of the bytes it really gave.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use tikv_jemallocator::{Jemalloc, usable_size};

static CALLS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicI64 = AtomicI64::new(0);

/// Put it into a bench with `#[global_allocator]`.
pub struct Counting;

/// Allocations and reallocations so far, of all threads.
pub fn calls() -> u64 {
    CALLS.load(Ordering::SeqCst)
}

/// Bytes in use, rounded up to the allocator's size classes.
pub fn bytes() -> i64 {
    BYTES.load(Ordering::SeqCst)
}

fn took(block: *mut u8) {
    CALLS.fetch_add(1, Ordering::Relaxed);
    if !block.is_null() {
        // SAFETY: the block was just given by jemalloc.
        let size = unsafe { usable_size(block) };
        BYTES.fetch_add(size as i64, Ordering::Relaxed);
    }
}

fn gives(block: *mut u8) {
    // SAFETY: the block is still held: it is given back after this.
    let size = unsafe { usable_size(block) };
    BYTES.fetch_sub(size as i64, Ordering::Relaxed);
}

// SAFETY: every call is handed on to jemalloc unchanged. An allocator cannot be written without
// unsafe code; this one is in no binary that ships.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is handed on.
        let block = unsafe { Jemalloc.alloc(layout) };
        took(block);
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is handed on.
        let block = unsafe { Jemalloc.alloc_zeroed(layout) };
        took(block);
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        gives(block);
        // SAFETY: the caller's promise is handed on.
        unsafe { Jemalloc.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        gives(block);
        // SAFETY: the caller's promise is handed on.
        let moved = unsafe { Jemalloc.realloc(block, layout, size) };
        took(if moved.is_null() { block } else { moved });
        moved
    }
}
