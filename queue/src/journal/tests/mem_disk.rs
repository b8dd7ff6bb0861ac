//! A disk in memory that can be full, broken, damaged, or lose power.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rand::RngExt as _;

use crate::journal::disk::{Disk, DiskFile};
use crate::journal::position::narrow;

const SECTOR: usize = 512;

/// What is on it, shared by its clones.
#[derive(Debug, Clone, Default)]
pub(super) struct MemDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    /// The names as of the last sync of the directory.
    synced_names: BTreeMap<PathBuf, usize>,
    claimed: bool,
    faults: Faults,
    syncs: u64,
}

#[derive(Debug, Clone, Default)]
struct Inode {
    data: Vec<u8>,
    synced: Vec<u8>,
}

/// What is wrong with it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Faults {
    /// Bytes that the files may still grow by.
    pub(super) room: Option<usize>,
    pub(super) fail_sync: bool,
    pub(super) fail_dir_sync: bool,
    /// A write takes at most so many bytes.
    pub(super) short_writes: Option<usize>,
    pub(super) fail_writes: bool,
    pub(super) fail_reads: bool,
}

#[derive(Debug)]
struct MemFile(MemDisk, usize);

#[derive(Debug)]
struct Claim(MemDisk);

impl MemDisk {
    pub(super) fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.0.lock().faults);
    }

    pub(super) fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    /// The files with this ending, by name.
    pub(super) fn files(&self, ending: &str) -> Vec<PathBuf> {
        let state = self.0.lock();
        state.names.keys().filter(|path| path.to_str().unwrap().ends_with(ending)).cloned().collect()
    }

    pub(super) fn read(&self, path: &Path) -> Vec<u8> {
        let state = self.0.lock();
        state.inodes[state.names[path]].data.clone()
    }

    /// Changes the bytes of a file behind the journal's back.
    pub(super) fn edit(&self, path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        let inode = state.names[path];
        edit(&mut state.inodes[inode].data);
    }

    pub(super) fn lose(&self, path: &Path) {
        self.0.lock().names.remove(path);
    }

    /// The same files on another disk without faults.
    pub(super) fn copy(&self) -> Self {
        let state = self.0.lock();
        let (inodes, names) = (state.inodes.clone(), state.names.clone());
        Self(Arc::new(Mutex::new(State { inodes, synced_names: names.clone(), names, ..State::default() })))
    }

    /// What may be left after a power loss: of what was not synced, any sectors and any names.
    pub(super) fn after_power_loss(&self, rng: &mut impl rand::Rng) -> Self {
        let state = self.0.lock();
        let inodes = state.inodes.iter().map(|inode| {
            let mut data = inode.synced.clone();
            if rng.random_bool(0.5) {
                data.resize(inode.data.len(), 0);
            }
            for (at, sector) in inode.data.chunks(SECTOR).enumerate() {
                let at = at * SECTOR;
                if rng.random_bool(0.5) && at + sector.len() <= data.len() {
                    data[at..at + sector.len()].copy_from_slice(sector);
                }
            }
            Inode { synced: data.clone(), data }
        });
        let inodes = inodes.collect();
        let names = if rng.random_bool(0.5) { state.names.clone() } else { state.synced_names.clone() };
        Self(Arc::new(Mutex::new(State { inodes, synced_names: names.clone(), names, ..State::default() })))
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk for MemDisk {
    fn claim(&self, _: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let mut state = self.0.lock();
        if std::mem::replace(&mut state.claimed, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Claim(self.clone())))
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        let state = self.0.lock();
        Ok(state.names.keys().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.0.lock();
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.names.insert(path.to_owned(), inode);
        Ok(Box::new(MemFile(self.clone(), inode)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let inode = *self.0.lock().names.get(path).ok_or_else(missing)?;
        Ok(Box::new(MemFile(self.clone(), inode)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let inode = state.names.remove(from).ok_or_else(missing)?;
        state.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let inode = state.names.remove(path).ok_or_else(missing)?;
        let len = state.inodes[inode].data.len();
        state.faults.room = state.faults.room.map(|room| room + len);
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.faults.fail_dir_sync {
            return Err(io::Error::other("injected"));
        }
        state.synced_names = state.names.clone();
        Ok(())
    }
}

impl DiskFile for MemFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.0.0.lock();
        if state.faults.fail_reads {
            return Err(io::Error::other("injected"));
        }
        let rest = state.inodes[self.1].data.get(narrow(offset)..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.0.0.lock();
        let State { inodes, faults, .. } = &mut *state;
        if faults.fail_writes {
            return Err(io::Error::other("injected"));
        }
        let data = &mut inodes[self.1].data;
        let offset = narrow(offset);
        let mut count = bytes.len().min(faults.short_writes.unwrap_or(usize::MAX));
        if let Some(room) = &mut faults.room {
            count = count.min((data.len() + *room).saturating_sub(offset));
            *room -= (offset + count).saturating_sub(data.len());
        }
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if data.len() < offset + count {
            data.resize(offset + count, 0);
        }
        data[offset..offset + count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.0.lock();
        let State { inodes, faults, .. } = &mut *state;
        let data = &mut inodes[self.1].data;
        faults.room = faults.room.map(|room| room + data.len().saturating_sub(narrow(len)));
        data.resize(narrow(len), 0);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.0.lock().inodes[self.1].data.len() as u64)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.0.lock();
        if state.faults.fail_sync {
            return Err(io::Error::other("injected"));
        }
        state.syncs += 1;
        let inode = &mut state.inodes[self.1];
        inode.synced.clone_from(&inode.data);
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.0.lock().claimed = false;
    }
}
