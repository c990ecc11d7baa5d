//! The clip store: decoded frames of clips, kept on disk for every later epoch, run and process. A frame is kept after
//! all steps that never change: `resize`, and without augmentation also the crop to the size of the backbone's images.
//!
//! Here belongs how decoded frames lie on the disk and how they are found again.
//! Not here: who decodes them (`filler` and `loader`), and what a backbone gets (`loader`).
//!
//! ```text
//! <folder>/
//!   <time>-<process>.pack     records, see [`pack`]
//! ```
//!
//! A record is found by a key. The key is a hash of all that decides the content: the bytes of the source files, the
//! decoder, which frames are kept, how they are resized, their format. So an entry can never be out of date. A pack has
//! one writer at a time, which holds its lock; readers need no lock. A damaged record fails its checksum; it then
//! counts as absent and is made again.
//!
//! Frames are read with `pread` into the buffer that they stay in. A memory map of the file would be 1.25 times as fast
//! (`cargo bench --workspace --bench clips`), but reading takes only a fortieth of the time of crop and resize. And
//! with a map, a file that another process cuts short, or a disk that fails, would end the process, where it now is an
//! error.

mod format;
pub mod local;
mod maintain;
mod pack;
mod record;
pub(super) mod source;
pub mod stored;

pub(crate) use source::hash as source_hash;

pub use maintain::{Pruned, Verified, prune, verify};
pub use pack::Key;

use crate::error::{Error, Result};
use crate::files::{is_locked, no_lock, open_own, try_lock};
use crate::recipe::clip_store::ClipStoreOptions;
use pack::{HEAD, Kind, Span};
use record::Table;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Most bytes of a pack. Packs are removed as a whole, so they must not be too large.
const PACK: u64 = 256 << 20;
/// Bytes of the disk that the store leaves free; of a small disk, a twentieth.
const RESERVE: u64 = 1 << 30;
/// How often a process looks for records that other processes have added.
const LOOK: Duration = Duration::from_millis(500);
/// A pack that nobody used for so long may be removed to make room. A process that uses a pack marks it ten times as
/// often.
const IDLE: Duration = Duration::from_secs(600);

/// A folder of packs.
#[derive(Debug)]
pub struct ClipStore {
    folder: PathBuf,
    /// Most bytes of all packs together.
    limit: u64,
    index: RwLock<Index>,
    writer: Mutex<Option<Writer>>,
    /// Why nothing more can be added.
    closed: Mutex<Option<String>>,
    /// Whether something found no room.
    full: AtomicBool,
    looked: Mutex<Instant>,
}

#[derive(Debug, Default)]
struct Index {
    packs: Vec<Pack>,
    records: HashMap<Key, Vec<Record>>,
}

#[derive(Debug)]
struct Pack {
    path: PathBuf,
    file: Arc<File>,
    inode: u64,
    /// Up to where the records of this pack are in the index.
    scanned: u64,
    /// Whether this process read or wrote a record in it.
    used: bool,
    /// When this process last marked it as used.
    touched: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    pack: usize,
    span: Span,
}

/// The pack that this process writes to. The process holds its lock.
#[derive(Debug)]
struct Writer {
    pack: usize,
    file: File,
    end: u64,
}

impl ClipStoreOptions {
    /// The store of a recipe, in [`ClipStoreOptions::folder`]; `None` where the recipe turns it off.
    pub(crate) fn open(&self, caches: &Path) -> Result<Option<ClipStore>> {
        if !self.on {
            return Ok(None);
        }
        ClipStore::open(&self.folder(caches), (self.limit_gb * 1e9) as u64).map(Some)
    }
}

impl ClipStore {
    /// The store in `folder`, which may be missing yet, of at most `limit` bytes.
    pub(crate) fn open(folder: &Path, limit: u64) -> Result<Self> {
        let store = Self {
            folder: folder.to_owned(),
            limit,
            index: RwLock::default(),
            writer: Mutex::default(),
            closed: Mutex::default(),
            full: AtomicBool::new(false),
            looked: Mutex::new(Instant::now()),
        };
        store.look()?;
        Ok(store)
    }

    /// The folder with the packs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Why nothing more can be added, such as a full disk or a folder without write access; `None` where all is well.
    pub(in crate::clips) fn closed(&self) -> Option<String> {
        lock(&self.closed).clone()
    }

    /// Whether nothing more can be added: a record found no room, or writing failed.
    pub(in crate::clips) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed) || self.closed().is_some()
    }

    /// Bytes that can be added within the limit and on the disk. Packs that may be removed for room count as free.
    pub(in crate::clips) fn room(&self) -> u64 {
        let used = self.bytes().saturating_sub(self.idle().iter().map(|(_, size, _)| size).sum());
        self.limit.saturating_sub(used).min(room_on_disk(&self.folder).unwrap_or(u64::MAX))
    }

    /// Whether another process adds to the store now.
    pub(in crate::clips) fn others_write(&self) -> bool {
        let own = lock(&self.writer).as_ref().map(|writer| writer.pack);
        let packs: Vec<PathBuf> = {
            let index = self.read_index();
            index
                .packs
                .iter()
                .enumerate()
                .filter(|(at, _)| Some(*at) != own)
                .map(|(_, pack)| pack.path.clone())
                .collect()
        };
        packs.iter().any(|path| open_own(path, false).is_ok_and(|file| is_locked(&file, path).unwrap_or(false)))
    }

    /// Bytes of all packs.
    pub fn bytes(&self) -> u64 {
        self.read_index().packs.iter().filter_map(|pack| pack.file.metadata().ok()).map(|about| about.len()).sum()
    }

    // The index is valid even after a panic of the thread that held it: each record is added in one step.
    fn read_index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_index(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to the index what is new in the folder.
    fn look(&self) -> Result<()> {
        *lock(&self.looked) = Instant::now();
        let mut index = self.write_index();
        for path in packs(&self.folder)? {
            let Ok(about) = std::fs::symlink_metadata(&path) else { continue };
            let known = index.packs.iter().position(|pack| pack.inode == about.ino() && pack.path == path);
            let pack = match known {
                Some(pack) => pack,
                None => {
                    // Another process may have removed it meanwhile.
                    let Ok(file) = open_pack(&path, false) else { continue };
                    index.packs.push(Pack {
                        path,
                        file: Arc::new(file),
                        inode: about.ino(),
                        scanned: 0,
                        used: false,
                        touched: None,
                    });
                    index.packs.len() - 1
                }
            };
            index.scan(pack, about.len())?;
        }
        Ok(())
    }

    /// [`ClipStore::look`], if the last time is at least [`LOOK`] ago.
    fn look_again(&self) {
        let due = lock(&self.looked).elapsed() >= LOOK;
        if due {
            // What cannot be read counts as absent; the next writer reports why.
            let _ = self.look();
        }
    }

    /// Records under `key`, the newest first.
    fn records(&self, key: &Key) -> Vec<(Record, Arc<File>)> {
        let index = self.read_index();
        let records = index.records.get(key).map(Vec::as_slice).unwrap_or_default();
        records.iter().rev().map(|record| (*record, Arc::clone(&index.packs[record.pack].file))).collect()
    }

    /// Takes a damaged record out of the index, so that the one that replaces it is found.
    fn forget(&self, key: &Key, damaged: Record) {
        if let Some(records) = self.write_index().records.get_mut(key) {
            records.retain(|record| (record.pack, record.span) != (damaged.pack, damaged.span));
        }
    }

    /// Marks a pack as used now, by its modification time: the oldest packs are removed first.
    fn touch(&self, pack: usize) {
        let fresh = |pack: &Pack| pack.touched.is_some_and(|last| last.elapsed() < IDLE / 10);
        if fresh(&self.read_index().packs[pack]) {
            return;
        }
        let mut index = self.write_index();
        let pack = &mut index.packs[pack];
        (pack.used, pack.touched) = (true, Some(Instant::now()));
        // In a folder without write access the time stays as it is.
        if let Ok(file) = open_own(&pack.path, true) {
            let _ = file.set_modified(SystemTime::now());
        }
    }

    /// The table of the clip under `key`, its record and its pack.
    fn table(&self, key: &Key) -> Option<(Table, Record, Arc<File>)> {
        if self.records(key).is_empty() {
            self.look_again();
        }
        for (record, file) in self.records(key) {
            match Table::read(&file, record.span) {
                Some(table) => {
                    self.touch(record.pack);
                    return Some((table, record, file));
                }
                None => self.forget(key, record),
            }
        }
        None
    }

    /// The content of a small record.
    fn small(&self, key: &Key) -> Option<Vec<u8>> {
        for (record, file) in self.records(key) {
            match pack::small(&file, record.span) {
                Some(content) => return Some(content),
                None => self.forget(key, record),
            }
        }
        None
    }

    /// The content of a small record of a pack that is then in use, also where another process has added it just now.
    fn content(&self, key: &Key) -> Option<Vec<u8>> {
        if self.records(key).is_empty() {
            self.look_again();
        }
        let pack = self.records(key).first().map(|(record, _)| record.pack)?;
        let content = self.small(key)?;
        self.touch(pack);
        Some(content)
    }

    /// Adds a small record with its checksum, unless the store is closed or full.
    fn keep_small(&self, kind: Kind, key: &Key, content: &[u8]) {
        self.append(kind, key, &[content, &crc32fast::hash(content).to_le_bytes()]);
    }

    /// Adds a record; `false` where the store is closed or full.
    fn append(&self, kind: Kind, key: &Key, parts: &[&[u8]]) -> bool {
        if lock(&self.closed).is_some() {
            return false;
        }
        let length = pack::aligned(HEAD + parts.iter().map(|part| part.len() as u64).sum::<u64>());
        let mut writer = lock(&self.writer);
        match self.append_to(&mut writer, kind, key, parts, length) {
            Ok(kept) => kept,
            Err(error) => {
                if let Some(writer) = writer.take() {
                    // Half a record only takes room.
                    let _ = writer.file.set_len(writer.end);
                }
                *lock(&self.closed) = Some(format!("{} keeps no more clips: {error}", self.folder.display()));
                false
            }
        }
    }

    fn append_to(
        &self,
        writer: &mut Option<Writer>,
        kind: Kind,
        key: &Key,
        parts: &[&[u8]],
        length: u64,
    ) -> std::io::Result<bool> {
        if writer.as_ref().is_some_and(|writer| writer.end + length > PACK && writer.end > 0) {
            *writer = None;
        }
        if self.bytes() + length > self.limit && !self.evict(length) {
            self.full.store(true, Ordering::Relaxed);
            return Ok(false);
        }
        if room_on_disk(&self.folder).is_some_and(|room| room < length) {
            return Err(std::io::Error::other("the disk is nearly full"));
        }
        let open = match writer {
            Some(open) => open,
            None => writer.insert(self.writable(length)?),
        };
        let span = pack::write(&open.file, open.end, kind, key, parts)?;
        open.end = pack::aligned(span.offset + span.length);
        let mut index = self.write_index();
        let record = Record { pack: open.pack, span };
        index.records.entry(*key).or_default().push(record);
        index.packs[open.pack].scanned = open.end;
        index.packs[open.pack].used = true;
        Ok(true)
    }

    /// A pack that has room for `length` bytes and no writer, or a new one.
    fn writable(&self, length: u64) -> std::io::Result<Writer> {
        std::fs::create_dir_all(&self.folder)?;
        let mut index = self.write_index();
        for at in 0..index.packs.len() {
            let (path, inode) = (index.packs[at].path.clone(), index.packs[at].inode);
            let Ok(file) = open_pack(&path, true) else { continue };
            let about = file.metadata()?;
            if about.ino() != inode || about.len() + length > PACK || !locked(&file, &path)? {
                continue;
            }
            // Other processes may have added records since the last look.
            index.scan(at, about.len()).map_err(std::io::Error::other)?;
            return Ok(Writer { pack: at, end: pack::aligned(file.metadata()?.len()), file });
        }
        let moment = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
        let path = self.folder.join(format!("{moment:x}-{}.pack", std::process::id()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        if let Err(error) = file.lock() {
            // Nobody could write to it.
            let _ = std::fs::remove_file(&path);
            return Err(std::io::Error::other(no_lock(&path, error)));
        }
        let inode = file.metadata()?.ino();
        let reading = Arc::new(open_own(&path, false)?);
        index.packs.push(Pack { path, file: reading, inode, scanned: 0, used: true, touched: None });
        Ok(Writer { pack: index.packs.len() - 1, file, end: 0 })
    }

    /// Packs that nobody used for [`IDLE`]: the time of their last use, their bytes, their position. The oldest first.
    fn idle(&self) -> Vec<(SystemTime, u64, usize)> {
        let about = |(at, pack): (usize, &Pack)| {
            let about = std::fs::symlink_metadata(&pack.path).ok().filter(|about| about.ino() == pack.inode)?;
            let time = about.modified().ok()?;
            (!pack.used && time.elapsed().is_ok_and(|age| age > IDLE)).then_some((time, about.len(), at))
        };
        let mut idle: Vec<_> = self.read_index().packs.iter().enumerate().filter_map(about).collect();
        idle.sort();
        idle
    }

    /// Makes room for `length` bytes by removing idle packs; `false` where that is not enough.
    fn evict(&self, length: u64) -> bool {
        let idle = self.idle();
        let mut total = self.bytes();
        let free: u64 = idle.iter().map(|(_, size, _)| size).sum();
        if total.saturating_sub(free) + length > self.limit {
            return false;
        }
        for (_, size, at) in idle {
            if total + length <= self.limit {
                break;
            }
            if self.remove(at) {
                total -= size;
            }
        }
        total + length <= self.limit
    }

    /// Removes a pack that nobody writes to.
    fn remove(&self, at: usize) -> bool {
        let path = self.read_index().packs[at].path.clone();
        let Ok(file) = open_pack(&path, true) else { return false };
        if !locked(&file, &path).unwrap_or(false) || std::fs::remove_file(&path).is_err() {
            return false;
        }
        let mut index = self.write_index();
        index.records.values_mut().for_each(|records| records.retain(|record| record.pack != at));
        index.records.retain(|_, records| !records.is_empty());
        // The positions of the other packs must not change, so an empty file takes its place.
        index.packs[at].scanned = u64::MAX;
        if let Ok(empty) = File::open("/dev/null") {
            index.packs[at].file = Arc::new(empty);
        }
        true
    }
}

impl Index {
    /// Adds the records of pack `at` that are not in the index yet.
    fn scan(&mut self, at: usize, size: u64) -> Result<()> {
        let Pack { path, file, scanned, .. } = &self.packs[at];
        if *scanned >= size {
            return Ok(());
        }
        let (path, file, from) = (path.clone(), Arc::clone(file), *scanned);
        let records = &mut self.records;
        let found = |_, key, span| {
            let entry: &mut Vec<Record> = records.entry(key).or_default();
            if !entry.iter().any(|record| (record.pack, record.span) == (at, span)) {
                entry.push(Record { pack: at, span });
            }
        };
        self.packs[at].scanned = pack::scan(&file, from, found).map_err(|error| Error::io("read", &path, error))?;
        Ok(())
    }
}

/// Bytes that may be added to the disk of `folder`: the free ones without [`RESERVE`], which other programs and the
/// records of runs need. `None` where the system does not report them.
fn room_on_disk(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|folder| folder.is_dir())?;
    let about = rustix::fs::statvfs(there).ok()?;
    let reserve = RESERVE.min(about.f_blocks * about.f_frsize / 20);
    Some((about.f_bavail * about.f_frsize).saturating_sub(reserve))
}

/// The packs of a folder, in order of name; none where the folder is missing.
fn packs(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| {
        Error::io("read the clip store", folder, error).help("choose another with `--set clip_store.folder=DIR`")
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<_>>().map_err(failed)?;
    // Only files of its own: opening a pipe would wait, a link leads elsewhere, and others' files may end in `.pack`.
    let is_file = |path: &PathBuf| std::fs::symlink_metadata(path).is_ok_and(|about| about.is_file());
    found.retain(|path| is_name(path) && is_file(path));
    found.sort();
    Ok(found)
}

/// Whether `path` is called as a pack is: `<time in hex>-<process>.pack`.
fn is_name(path: &Path) -> bool {
    let parts = path.file_name().and_then(OsStr::to_str).and_then(|name| name.strip_suffix(".pack")?.split_once('-'));
    parts.is_some_and(|(time, process)| {
        let all = |text: &str, fits: fn(&u8) -> bool| !text.is_empty() && text.as_bytes().iter().all(fits);
        all(time, u8::is_ascii_hexdigit) && all(process, u8::is_ascii_digit)
    })
}

/// Opens a pack. What is no pack is not opened, whatever it is called: nothing is added to it, and it is not removed.
fn open_pack(path: &Path, write: bool) -> std::io::Result<File> {
    let file = open_own(path, write)?;
    if pack::is_pack(&file)? { Ok(file) } else { Err(std::io::Error::other("it is not a pack of the clip store")) }
}

/// Takes the lock of an open pack; `false` where another process has it, or the pack was removed meanwhile.
fn locked(file: &File, path: &Path) -> std::io::Result<bool> {
    let taken = try_lock(file, path).map_err(std::io::Error::other)?;
    let same = |about: std::fs::Metadata| file.metadata().is_ok_and(|own| own.ino() == about.ino());
    Ok(taken && std::fs::symlink_metadata(path).is_ok_and(same))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
