//! A model of the guest's memory manager, guest OS profiles and workloads.
