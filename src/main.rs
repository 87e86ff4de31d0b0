//! argv → a command.

#![forbid(unsafe_code)]

/// Many small, short-lived buffers from several threads: the system's allocator keeps far more memory.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    vestibule::cli::run()
}
