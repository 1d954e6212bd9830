//! Pages of atomics over process memory, memfd and guest RAM.
