//! A disk in memory that can be full, broken, damaged, or lose power.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use rand::RngExt as _;

use crate::journal::blocks::{BLOCK, are_blocks};
use crate::journal::disk::{Disk, DiskFile};
use crate::journal::position::{narrow, wide};

const SECTOR: usize = 512;

/// What is on it, shared by its clones.
#[derive(Debug, Clone, Default)]
pub(super) struct MemDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    content: Content,
    claimed: bool,
    /// Whether its files want whole blocks.
    direct: bool,
    /// Reads and writes of other bytes while they did.
    not_in_blocks: u64,
    faults: Faults,
    syncs: u64,
    /// Files that were reserved instead of written.
    reserved: u64,
    /// How far the test is, and the content before each change with how far it was then.
    record: Option<Arc<AtomicUsize>>,
    recorded: Vec<(usize, Content)>,
}

/// What the files are, and what a power loss would leave. Cheap to copy.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    inodes: Vec<Arc<Inode>>,
    names: Names,
    /// The names as of the last sync of the directory.
    synced_names: Names,
}

type Names = BTreeMap<PathBuf, usize>;

#[derive(Debug, Clone, Default)]
struct Inode {
    data: Vec<u8>,
    synced: Vec<u8>,
    /// What each sector held since the last sync, any of which may be on the disk. After a sync that
    /// fails, the disk never gets them.
    dirty: BTreeMap<usize, Vec<Vec<u8>>>,
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
    /// The next write gets to the disk but for its beginning, and fails.
    pub(super) fail_late: bool,
    /// Bytes of a file after this one can't be written.
    pub(super) fail_writes_beyond: Option<usize>,
    /// So many reads get through.
    pub(super) fail_reads_after: Option<u32>,
    /// Bytes of a file after this one can't be read.
    pub(super) fail_reads_beyond: Option<usize>,
}

#[derive(Debug)]
struct MemFile(MemDisk, usize);

#[derive(Debug)]
struct Claim(MemDisk);

impl MemDisk {
    /// One whose files want whole blocks.
    pub(super) fn direct() -> Self {
        Self(Arc::new(Mutex::new(State { direct: true, ..State::default() })))
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.0.lock().faults);
    }

    /// Does something while nobody gets through to the disk.
    pub(super) fn while_stopped<T>(&self, run: impl FnOnce() -> T) -> T {
        let _stopped = self.0.lock();
        run()
    }

    pub(super) fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    pub(super) fn not_in_blocks(&self) -> u64 {
        self.0.lock().not_in_blocks
    }

    pub(super) fn reserved(&self) -> u64 {
        self.0.lock().reserved
    }

    /// The files with this ending, by name.
    pub(super) fn files(&self, ending: &str) -> Vec<PathBuf> {
        let state = self.0.lock();
        let names = state.content.names.keys();
        names.filter(|path| path.to_str().unwrap().ends_with(ending)).cloned().collect()
    }

    pub(super) fn read(&self, path: &Path) -> Vec<u8> {
        let state = self.0.lock();
        state.content.inodes[state.content.names[path]].data.clone()
    }

    /// Changes the bytes of a file behind the journal's back.
    pub(super) fn edit(&self, path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        let inode = state.content.names[path];
        let inode = Arc::make_mut(&mut state.content.inodes[inode]);
        edit(&mut inode.data);
        inode.synced.clone_from(&inode.data);
    }

    pub(super) fn lose(&self, path: &Path) {
        self.0.lock().content.names.remove(path);
    }

    /// The same files on another disk without faults.
    pub(super) fn copy(&self) -> Self {
        let state = self.0.lock();
        Self::holding(state.content.clone(), state.direct)
    }

    /// What may be left after a power loss.
    pub(super) fn after_power_loss(&self, rng: &mut impl rand::Rng) -> Self {
        let state = self.0.lock();
        Self::holding(state.content.after_power_loss(rng), state.direct)
    }

    pub(super) fn holding(content: Content, direct: bool) -> Self {
        Self(Arc::new(Mutex::new(State { content, direct, ..State::default() })))
    }

    /// From now on keeps the content before each change, and what `progress` is then.
    pub(super) fn record(&self, progress: &Arc<AtomicUsize>) {
        self.0.lock().record = Some(Arc::clone(progress));
    }

    pub(super) fn recorded(&self) -> Vec<(usize, Content)> {
        std::mem::take(&mut self.0.lock().recorded)
    }

    fn changing(&self) -> MutexGuard<'_, State> {
        let mut state = self.0.lock();
        if let Some(progress) = &state.record {
            let before = (progress.load(Ordering::SeqCst), state.content.clone());
            state.recorded.push(before);
        }
        state
    }
}

impl State {
    fn count_blocks(&mut self, memory: &[u8], offset: u64) {
        let are_whole = are_blocks(memory) && offset.is_multiple_of(BLOCK);
        self.not_in_blocks += u64::from(self.direct && !are_whole);
    }
}

impl Content {
    /// Of what was not synced, any sectors and any names.
    pub(super) fn after_power_loss(&self, rng: &mut impl rand::Rng) -> Self {
        let inodes = self.inodes.iter().map(|inode| {
            let mut data = inode.synced.clone();
            if rng.random_bool(0.5) {
                data.resize(inode.data.len(), 0);
            }
            for (sector, versions) in &inode.dirty {
                if let Some(version) = versions.get(rng.random_range(0..=versions.len())) {
                    put_sector(&mut data, *sector, version);
                }
            }
            Arc::new(Inode { synced: data.clone(), data, dirty: BTreeMap::new() })
        });
        let inodes = inodes.collect();
        let mut names = Names::new();
        for path in self.names.keys().chain(self.synced_names.keys()).collect::<BTreeSet<_>>() {
            let from = if rng.random_bool(0.5) { &self.names } else { &self.synced_names };
            names.extend(from.get(path).map(|inode| (path.clone(), *inode)));
        }
        Self { inodes, synced_names: names.clone(), names }
    }
}

impl Inode {
    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if self.data.len() < end {
            self.data.resize(end, 0);
        }
        self.data[offset..end].copy_from_slice(bytes);
        self.touch(offset, end);
    }

    fn touch(&mut self, from: usize, to: usize) {
        for sector in from / SECTOR..to.div_ceil(SECTOR) {
            let bytes = self.data.get(sector * SECTOR..).unwrap_or_default();
            let bytes = bytes[..bytes.len().min(SECTOR)].to_vec();
            self.dirty.entry(sector).or_default().push(bytes);
        }
    }

    fn sync(&mut self) {
        self.synced.resize(self.data.len(), 0);
        for (sector, versions) in std::mem::take(&mut self.dirty) {
            put_sector(&mut self.synced, sector, versions.last().unwrap());
        }
    }
}

fn put_sector(data: &mut [u8], sector: usize, bytes: &[u8]) {
    let data = data.get_mut(sector * SECTOR..).unwrap_or_default();
    let len = data.len().min(bytes.len());
    data[..len].copy_from_slice(&bytes[..len]);
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
        let names = state.content.names.keys();
        Ok(names.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.changing();
        let Content { inodes, names, .. } = &mut state.content;
        inodes.push(Arc::default());
        names.insert(path.to_owned(), inodes.len() - 1);
        Ok(Box::new(MemFile(self.clone(), inodes.len() - 1)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let inode = *self.0.lock().content.names.get(path).ok_or_else(missing)?;
        Ok(Box::new(MemFile(self.clone(), inode)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.changing();
        let inode = state.content.names.remove(from).ok_or_else(missing)?;
        state.content.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.changing();
        let inode = state.content.names.remove(path).ok_or_else(missing)?;
        let len = state.content.inodes[inode].data.len();
        state.faults.room = state.faults.room.map(|room| room + len);
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let mut state = self.changing();
        if state.faults.fail_dir_sync {
            return Err(io::Error::other("injected"));
        }
        state.content.synced_names = state.content.names.clone();
        Ok(())
    }
}

impl DiskFile for MemFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.0.0.lock();
        if offset < wide(state.content.inodes[self.1].data.len()) {
            state.count_blocks(buffer, offset);
        }
        if let Some(left) = &mut state.faults.fail_reads_after {
            *left = left.checked_sub(1).ok_or_else(|| io::Error::other("injected"))?;
        }
        let data = &state.content.inodes[self.1].data;
        let rest = data.get(narrow(offset)..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if state.faults.fail_reads_beyond.is_some_and(|place| narrow(offset) + count > place) {
            return Err(io::Error::other("injected"));
        }
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.0.changing();
        state.count_blocks(bytes, offset);
        let State { content, faults, .. } = &mut *state;
        let inode = Arc::make_mut(&mut content.inodes[self.1]);
        let offset = narrow(offset);
        let mut count = bytes.len().min(faults.short_writes.unwrap_or(usize::MAX));
        if faults.fail_writes || faults.fail_writes_beyond.is_some_and(|place| offset + count > place) {
            return Err(io::Error::other("injected"));
        }
        if let Some(room) = &mut faults.room {
            count = count.min((inode.data.len() + *room).saturating_sub(offset));
            *room -= (offset + count).saturating_sub(inode.data.len());
        }
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if std::mem::take(&mut faults.fail_late) {
            let landed = SECTOR.min(count);
            inode.write(&bytes[landed..count], offset + landed);
            return Err(io::Error::other("injected"));
        }
        inode.write(&bytes[..count], offset);
        Ok(count)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.changing();
        let State { content, faults, .. } = &mut *state;
        let inode = Arc::make_mut(&mut content.inodes[self.1]);
        let (before, len) = (inode.data.len(), narrow(len));
        faults.room = faults.room.map(|room| room + before.saturating_sub(len));
        inode.data.resize(len, 0);
        inode.touch(len, before);
        Ok(())
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        if self.0.0.lock().faults.room.is_some_and(|room| wide(room) < len) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.set_len(len)?;
        let mut state = self.0.0.lock();
        state.reserved += 1;
        let room = &mut state.faults.room;
        *room = room.map(|room| room - narrow(len));
        Ok(())
    }

    fn is_direct(&self) -> bool {
        self.0.0.lock().direct
    }

    fn size(&self) -> io::Result<u64> {
        Ok(wide(self.0.0.lock().content.inodes[self.1].data.len()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.changing();
        let State { content, faults, syncs, .. } = &mut *state;
        let inode = Arc::make_mut(&mut content.inodes[self.1]);
        if faults.fail_sync {
            inode.dirty.clear();
            return Err(io::Error::other("injected"));
        }
        *syncs += 1;
        inode.sync();
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.0.lock().claimed = false;
    }
}
