//! Segments of any content: frames with valid checksums and any bodies, the journal's own notes among
//! them, and noise in between. The journal opens, reads, goes on, and is whole the next time.
#![no_main]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use lockstep_queue::journal::{Disk, DiskFile, Journal, Kind, Options, Position};
use parking_lot::Mutex;

type Files = Arc<Mutex<BTreeMap<PathBuf, Arc<Mutex<Vec<u8>>>>>>;

#[derive(Debug, Clone, Default)]
struct Memory(Files);

#[derive(Debug)]
struct File(Arc<Mutex<Vec<u8>>>);

impl Disk for Memory {
    fn claim(&self, _: &Path) -> io::Result<Box<dyn Send + Sync>> {
        Ok(Box::new(()))
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        let files = self.0.lock();
        Ok(files.keys().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = Arc::default();
        self.0.lock().insert(path.to_owned(), Arc::clone(&file));
        Ok(Box::new(File(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = self.0.lock().get(path).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(File(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.0.lock();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.lock().remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.0.lock();
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut file = self.0.lock();
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        if file.len() < end {
            file.resize(end, 0);
        }
        file[start..end].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().resize(len as usize, 0);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.lock().len() as u64)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A frame as the journal writes it.
fn frame(position: u64, kind: u8, group: u8, body: &[u8]) -> Vec<u8> {
    let mut rest = Vec::new();
    rest.extend(crc32c::crc32c(body).to_le_bytes());
    rest.extend((body.len() as u32).to_le_bytes());
    rest.extend(u64::from(group).to_le_bytes());
    rest.extend(0u32.to_le_bytes());
    rest.extend([kind, 0, 0, 0]);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&position.to_le_bytes()), &rest);
    let mut frame = [b"LSJ1".as_slice(), &crc.to_le_bytes(), &rest, body].concat();
    frame.resize(frame.len().next_multiple_of(8), 0);
    frame
}

/// Reads the input as instructions: a frame, noise, or the beginning of another segment.
fn segments(mut input: &[u8]) -> BTreeMap<u64, Vec<u8>> {
    let mut segments = BTreeMap::new();
    let mut base = 0;
    let mut bytes = Vec::new();
    while let [what, kind, group, len, rest @ ..] = input {
        let (body, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        input = rest;
        match what % 8 {
            0 => {
                bytes.extend(body);
                // What is damaged was at least as long as a header.
                bytes.resize(bytes.len().next_multiple_of(8) + 32, 0);
            }
            1 => {
                let end = base + bytes.len() as u64;
                segments.insert(base, std::mem::take(&mut bytes));
                // Perhaps with a hole before it.
                let hole = 8 * u64::from(*kind) * u64::from(*group);
                base = end + if hole < 32 { 0 } else { hole };
            }
            _ => bytes.extend(frame(base + bytes.len() as u64, *kind, *group, body)),
        }
    }
    segments.insert(base, bytes);
    segments
}

fuzz_target!(|input: &[u8]| {
    let disk = Memory::default();
    for (base, bytes) in segments(input) {
        let path = PathBuf::from(format!("/journal/{base:016x}.seg"));
        disk.0.lock().insert(path, Arc::new(Mutex::new(bytes)));
    }
    let options = Options::new("/journal")
        .disk(Arc::new(disk.clone()))
        .segment_bytes(4096)
        .max_bytes(1 << 20)
        .idle_after(Duration::from_secs(3600));
    // Of a newer format, or not.
    let Ok((journal, recovery)) = Journal::open(options.clone()) else { return };
    let mut reader = journal.reader(Position::START);
    while reader.try_next().expect("it is readable").is_some() {}
    for group in &recovery.open_groups {
        for position in &group.frames {
            journal.read(*position).expect("a frame of an open group is there");
        }
        match journal.append(Kind::end::<0>(), group.group, "").wait() {
            // What is missing counts until it is acknowledged.
            Err(error) if error.is_full() => return,
            ended => drop(ended.expect("it is open")),
        }
    }
    let last = match journal.append(Kind::single::<0>(), 0, "last").wait() {
        Err(error) if error.is_full() => return,
        last => last.expect("nothing is wrong with the disk").receipt().expect("it is stored").position,
    };
    journal.close().expect("nothing is wrong with the disk");
    let (journal, recovery) = Journal::open(options).expect("it was open before");
    // Invented notes put ends of segments where there is no room to note a gap; that one is found again.
    assert!(recovery.gaps.iter().all(|gap| gap.to.as_u64() - gap.from.as_u64() < 32), "{recovery:?}");
    assert!(recovery.cut.is_none() && recovery.open_groups.is_empty(), "{recovery:?}");
    assert_eq!(journal.read(last).expect("it is there").body, "last");
});
