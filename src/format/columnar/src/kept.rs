// SPDX-License-Identifier: Apache-2.0
//! The allocator of this library: large blocks are kept when they are freed and given out again, since the first touch of a page is many
//! times dearer than the next. Sizes go by classes, eight to each power of two, so that a block fits what comes next.
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard};

/// What is smaller goes to malloc, which keeps it well enough.
const LEAST: usize = 64 << 10;
/// Of every large block: what arrow asks for.
const ALIGN: usize = 128;
const STEPS: usize = 8;
const CLASSES: usize = 40 * STEPS;

pub struct Kept;

struct Blocks {
    /// The first free block of each class; its first word is the address of the next.
    free: [usize; CLASSES],
    /// Bytes that are in use and bytes that are free.
    used: usize,
    kept: usize,
    /// Of both together: beyond it free blocks go back to malloc.
    most: usize,
}

static BLOCKS: Mutex<Blocks> = Mutex::new(Blocks { free: [0; CLASSES], used: 0, kept: 0, most: 0 });

fn blocks() -> MutexGuard<'static, Blocks> {
    BLOCKS.lock().unwrap_or_else(|broken| broken.into_inner())
}

/// The class of a size and the bytes of its blocks.
fn class_of(size: usize) -> (usize, usize) {
    let step = size.next_power_of_two() / (2 * STEPS);
    let whole = size.div_ceil(step) * step;
    (whole.ilog2() as usize * STEPS + whole / (1 << whole.ilog2() >> 3) - STEPS, whole)
}

/// A layout that is kept: class, bytes and layout of its block.
fn large(layout: Layout) -> Option<(usize, usize, Layout)> {
    if layout.size() < LEAST || layout.size() > 1 << 38 || layout.align() > ALIGN {
        return None;
    }
    let (class, size) = class_of(layout.size());
    Layout::from_size_align(size, ALIGN).ok().map(|block| (class, size, block))
}

impl Blocks {
    unsafe fn pop(&mut self, class: usize, size: usize) -> *mut u8 {
        let block = self.free[class] as *mut u8;
        if !block.is_null() {
            self.free[class] = *(block as *const usize);
            self.kept -= size;
        }
        block
    }

    /// Gives free blocks back until `size` bytes more are within the limit.
    unsafe fn make_room(&mut self, size: usize) {
        for class in 0..CLASSES {
            while self.kept > 0 && self.free[class] != 0 && self.used + self.kept + size > self.most {
                let bytes = (STEPS + class % STEPS) << (class / STEPS) >> 3;
                let block = self.pop(class, bytes);
                System.dealloc(block, Layout::from_size_align_unchecked(bytes, ALIGN));
            }
        }
    }
}

// What was allocated as a large block is freed as one: the layout tells.
unsafe impl GlobalAlloc for Kept {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((class, size, block)) = large(layout) else { return System.alloc(layout) };
        let mut of = blocks();
        let mut memory = of.pop(class, size);
        if memory.is_null() {
            of.make_room(size);
            memory = System.alloc(block);
        }
        if !memory.is_null() {
            of.used += size;
        }
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        let Some((class, size, block)) = large(layout) else { return System.dealloc(memory, layout) };
        let mut of = blocks();
        of.used -= size;
        if of.used + of.kept + size > of.most {
            drop(of);
            return System.dealloc(memory, block);
        }
        *(memory as *mut usize) = of.free[class];
        of.free[class] = memory as usize;
        of.kept += size;
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let wanted = Layout::from_size_align_unchecked(size, layout.align());
        match (large(layout), large(wanted)) {
            (None, None) => return System.realloc(memory, layout, size),
            (Some((was, ..)), Some((is, ..))) if was == is => return memory,
            _ => {}
        }
        let moved = self.alloc(wanted);
        if moved.is_null() {
            return null_mut();
        }
        moved.copy_from_nonoverlapping(memory, layout.size().min(size));
        self.dealloc(memory, layout);
        moved
    }
}

/// Whether so many bytes more can be had: what is kept makes way for them. It stays, as most of them will be taken from it.
pub fn has_room(bytes: usize) -> bool {
    let Ok(missing) = Layout::from_size_align(bytes.saturating_sub(blocks().kept).max(1), ALIGN) else { return false };
    // Unless its memory is seen from outside, the compiler drops the allocation and takes it for granted.
    let memory = black_box(unsafe { System.alloc(missing) });
    if !memory.is_null() {
        unsafe { System.dealloc(memory, missing) }
    }
    !memory.is_null()
}

/// `ghee_columnar_keep`.
pub fn keep(most: usize) {
    let mut of = blocks();
    of.most = most;
    unsafe { of.make_room(0) }
}
