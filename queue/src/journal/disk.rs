//! What the journal asks of a disk, so that tests can put one in its place that is full or broken.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::fs::FallocateFlags;

use super::blocks::{BLOCK, are_blocks};
use super::position::wide;

/// A directory's worth of files.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Makes the directory if need be and claims it until the guard is dropped.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if somebody else holds it.
    fn claim(&self, dir: &Path) -> io::Result<Box<dyn Send + Sync>>;
    /// The names of the files in the directory.
    ///
    /// # Errors
    /// If it can't be read.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes an empty file, in place of one that may be there.
    ///
    /// # Errors
    /// If it can't be made.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// If it can't be opened.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Renames a file; what had the new name before is gone.
    ///
    /// # Errors
    /// If the name stays.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// If it stays.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Returns once the names in the directory are on the medium.
    ///
    /// # Errors
    /// If they may not be.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Reads some bytes; none at the end of the file.
    ///
    /// # Errors
    /// If the medium can't be read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes some of the bytes.
    ///
    /// # Errors
    /// If none were written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Cuts or extends the file.
    ///
    /// # Errors
    /// If its length is the old one.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes a file of this many zeros out of an empty one without writing them. It has room for what is written
    /// over them; but each sync after that has to note where it is.
    ///
    /// # Errors
    /// If there is no room, or the file system cannot do this.
    fn reserve(&self, len: u64) -> io::Result<()> {
        let _ = len;
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Whether what is written and read in whole blocks of 4 KiB, at multiples of that and from memory that begins at
    /// such, goes past caches: it need be neither copied nor kept.
    fn is_direct(&self) -> bool {
        false
    }
    /// The file's length.
    ///
    /// # Errors
    /// If it can't be found out.
    fn size(&self) -> io::Result<u64>;
    /// Returns once everything written is on the medium.
    ///
    /// # Errors
    /// If something may not be, now or ever.
    fn sync_data(&self) -> io::Result<()>;
}

/// The file system of the operating system. Files get mode 0600, the directory 0700.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsDisk;

/// An open file of it.
#[derive(Debug)]
struct OsFile {
    file: File,
    /// The same, past the cache.
    direct: Option<File>,
    /// The file system takes the flag, but not what is written then.
    refused: AtomicBool,
}

const LOCK: &str = "lock";

// === impl OsDisk ===

impl Disk for OsDisk {
    fn claim(&self, dir: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let made: Vec<&Path> = dir.ancestors().take_while(|dir| !is_there(dir)).collect();
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        for parent in made.into_iter().filter_map(Path::parent) {
            self.sync_dir(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
        }
        let lock = options().create(true).truncate(false).open(dir.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Box::new(lock)),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        // A name that is no text is none of the journal's.
        fs::read_dir(dir)?
            .map(|entry| Ok(entry?.file_name().into_string().ok()))
            .filter_map(Result::transpose)
            .collect()
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OsFile::open(path, options().create(true).truncate(true))?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OsFile::open(path, &options())?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

// === impl OsFile ===

impl OsFile {
    /// Opens a file, twice where the file system can do without its cache.
    fn open(path: &Path, options: &OpenOptions) -> io::Result<Self> {
        let file = options.open(path)?;
        let direct = direct_options().and_then(|options| options.open(path).ok());
        Ok(Self { file, direct, refused: AtomicBool::new(false) })
    }

    /// The file without its cache, for bytes that are laid out for that.
    fn direct(&self, memory: &[u8], offset: u64) -> Option<&File> {
        let is_whole = are_blocks(memory) && offset.is_multiple_of(BLOCK);
        self.direct.as_ref().filter(|_| is_whole && self.is_direct())
    }

    /// What came of going past the cache; nothing if the file system did not understand.
    fn understood(&self, result: io::Result<usize>) -> Option<io::Result<usize>> {
        let refused = result.as_ref().is_err_and(|error| {
            matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
        });
        if refused {
            self.refused.store(true, Relaxed);
        }
        (!refused).then_some(result)
    }
}

impl DiskFile for OsFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let direct = self.direct(buffer, offset);
        let read = direct.and_then(|file| self.understood(file.read_at(buffer, offset)));
        read.unwrap_or_else(|| self.file.read_at(buffer, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let direct = self.direct(bytes, offset);
        let written = direct.and_then(|file| self.understood(file.write_at(bytes, offset)));
        written.unwrap_or_else(|| self.file.write_at(bytes, offset))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, len)?)
    }

    fn is_direct(&self) -> bool {
        self.direct.is_some() && !self.refused.load(Relaxed)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Whether a path needs no making; the empty one stands for the working directory.
fn is_there(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.exists()
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// How a file is opened whose cache is not to be used, where that is possible.
#[cfg(target_os = "linux")]
fn direct_options() -> Option<OpenOptions> {
    let mut options = options();
    options.custom_flags(i32::try_from(rustix::fs::OFlags::DIRECT.bits()).ok()?);
    Some(options)
}

#[cfg(not(target_os = "linux"))]
fn direct_options() -> Option<OpenOptions> {
    None
}

/// Writes all bytes. After a failure any of them may have been written.
pub(crate) fn write_all(file: &dyn DiskFile, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = bytes.get(count..).unwrap_or_default();
                offset += wide(count);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Fills the buffer, or as much of it as the file holds; returns how much that is.
pub(crate) fn read_full(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + wide(done)) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::super::blocks::Blocks;
    use super::*;

    #[test]
    fn a_file_system_that_can_not_do_without_its_cache_is_asked_once() {
        let dir = tempfile::tempdir().unwrap();
        for (errno, goes_on_without) in
            [(Errno::INVAL, true), (Errno::OPNOTSUPP, true), (Errno::NOSPC, false), (Errno::IO, false)]
        {
            let file = OsFile::open(&dir.path().join("file"), options().create(true).truncate(true)).unwrap();
            let could = file.is_direct();
            assert_eq!(file.understood(Err(errno.into())).is_none(), goes_on_without, "{errno}");
            assert_eq!(file.is_direct(), could && !goes_on_without, "{errno}");
            assert!(write_all(&file, &Blocks::zeros(4096), 0).is_ok(), "{errno}");
        }
    }

    #[test]
    fn what_goes_past_the_cache_and_what_does_not_are_the_same_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = OsDisk.create(&dir.path().join("file")).unwrap();
        let mut blocks = Blocks::zeros(8192);
        blocks.fill(7);
        write_all(&*file, &blocks, 0).unwrap();
        write_all(&*file, b"odd", 5000).unwrap();
        assert_eq!(read_full(&*file, &mut blocks, 4096).unwrap(), 4096);
        assert_eq!(&blocks[900..910], b"\x07\x07\x07\x07odd\x07\x07\x07");
        blocks.fill(1);
        write_all(&*file, &blocks, 4096).unwrap();
        file.sync_data().unwrap();
        let mut odd = [0; 10];
        assert_eq!(read_full(&*file, &mut odd, 4090).unwrap(), 10);
        assert_eq!(odd, [7, 7, 7, 7, 7, 7, 1, 1, 1, 1]);
        assert_eq!(file.size().unwrap(), 3 * 4096);
    }
}
