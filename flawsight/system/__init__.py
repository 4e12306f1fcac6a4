"""Files, memory, threads and interrupts: what the operating system gives."""
