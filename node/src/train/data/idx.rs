//! IDX files: labelled images, such as MNIST, from a folder.
//!
//! IDX is the format of Yann LeCun's MNIST page: two zero bytes, a byte for the
//! type of entry (8 is unsigned byte), a byte for the number of dimensions, each
//! dimension as a big-endian 32-bit number, then the entries. Reading is strict:
//! a file has exactly the bytes that its header announces, gzipped or not, and
//! nothing larger than the limits here is read into memory, whatever a small
//! compressed file claims to hold.
//!
//! A folder holds either all four files of MNIST (`train-…` to train with,
//! `t10k-…` to test with) or only the `t10k-…` pair, of which the first 80 %
//! train and the last 20 % test. This is the one file of `train` that reads
//! from a disk.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::{Dataset, DatasetError, SAMPLES_MAX, Samples};

/// Most bytes of pixels in one file: MNIST has 47 MB; in memory they take four times as much.
const PIXELS_MAX: usize = 128 << 20;

/// Most pixels in one image.
const IMAGE_PIXELS_MAX: usize = 65_536;

/// Magic number of a file of unsigned bytes in three dimensions.
const IMAGES_MAGIC: u32 = 0x0000_0803;

/// Magic number of a file of unsigned bytes in one dimension.
const LABELS_MAGIC: u32 = 0x0000_0801;

/// The first two bytes of a gzip file (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Why a folder of IDX files cannot be used; each error names the file.
#[derive(Debug, thiserror::Error)]
pub enum IdxError {
    /// Neither `name` nor `name.gz` is in the folder.
    #[error(
        "{folder} has no file {name} or {name}.gz: put the MNIST files there, or name another folder"
    )]
    Missing {
        /// The folder searched.
        folder: PathBuf,
        /// The file name without `.gz`.
        name: String,
    },
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is gzipped, but not soundly.
    #[error("{path} is not a sound gzip file ({source}): fetch it again")]
    Gzip {
        /// The file.
        path: PathBuf,
        /// What the decompressor says.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{path} is not an IDX file of {expected}: it begins with {found:#010x}")]
    Magic {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// The first four bytes found.
        found: u32,
    },
    /// The file ends early.
    #[error("{path} is cut short: {found} of {expected} bytes are there; fetch it again")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes it should have, decompressed.
        expected: usize,
        /// Bytes it has.
        found: usize,
    },
    /// The file goes on after its last entry.
    #[error("{path} has more bytes than the {expected} that its header announces: fetch it again")]
    Trailing {
        /// The file.
        path: PathBuf,
        /// Bytes it should have, decompressed.
        expected: usize,
    },
    /// The header announces nothing, or more than the limits allow.
    #[error(
        "{path} announces {count} entries of {size} bytes: 1 to {SAMPLES_MAX} entries, {IMAGE_PIXELS_MAX} bytes each and {PIXELS_MAX} in all are the limits"
    )]
    Size {
        /// The file.
        path: PathBuf,
        /// Entries announced.
        count: u32,
        /// Bytes announced per entry.
        size: u64,
    },
    /// Images and labels are not of one set.
    #[error(
        "{images} has {image_count} images, but {labels} has {label_count} labels: they are not of one set"
    )]
    CountsDiffer {
        /// The file of images.
        images: PathBuf,
        /// How many it has.
        image_count: usize,
        /// The file of labels.
        labels: PathBuf,
        /// How many it has.
        label_count: usize,
    },
    /// The files are sound, but do not form a data set.
    #[error("the files in {folder} do not form a data set: {source}")]
    Dataset {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        source: DatasetError,
    },
}

/// Entries of one file: `count` rows of `size` bytes.
struct Entries {
    path: PathBuf,
    count: usize,
    size: usize,
    bytes: Vec<u8>,
}

/// Reads the data set in `folder`; pixels become numbers from 0 to 1.
///
/// The number of classes is one more than the highest label.
pub fn load(folder: &Path) -> Result<Dataset, IdxError> {
    let wrong = |source| IdxError::Dataset { folder: folder.to_owned(), source };
    let (test_images, test_labels) = load_pair(folder, "t10k")?;
    if find(folder, &images_name("train")).is_none() {
        let classes = class_count(&[&test_labels]);
        let train_count = test_labels.count * 4 / 5;
        let all = samples(test_images, test_labels, classes).map_err(wrong)?;
        let (train, test) = all.split_at(train_count).map_err(wrong)?;
        return Dataset::new(train, test).map_err(wrong);
    }
    let (images, labels) = load_pair(folder, "train")?;
    let classes = class_count(&[&labels, &test_labels]);
    let train = samples(images, labels, classes).map_err(wrong)?;
    let test = samples(test_images, test_labels, classes).map_err(wrong)?;
    Dataset::new(train, test).map_err(wrong)
}

fn images_name(set: &str) -> String {
    format!("{set}-images-idx3-ubyte")
}

fn labels_name(set: &str) -> String {
    format!("{set}-labels-idx1-ubyte")
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    [format!("{name}.gz"), name.to_owned()]
        .map(|name| folder.join(name))
        .into_iter()
        .find(|path| path.exists())
}

fn require(folder: &Path, name: String) -> Result<PathBuf, IdxError> {
    find(folder, &name).ok_or_else(|| IdxError::Missing { folder: folder.to_owned(), name })
}

fn load_pair(folder: &Path, set: &str) -> Result<(Entries, Entries), IdxError> {
    // Both must be there before the larger one is read.
    let images = require(folder, images_name(set))?;
    let labels = require(folder, labels_name(set))?;
    let labels = read_labels(labels)?;
    let images = read_images(images)?;
    if images.count != labels.count {
        return Err(IdxError::CountsDiffer {
            images: images.path,
            image_count: images.count,
            labels: labels.path,
            label_count: labels.count,
        });
    }
    Ok((images, labels))
}

fn class_count(files: &[&Entries]) -> usize {
    let highest = files.iter().flat_map(|file| &file.bytes).max();
    highest.map_or(0, |label| usize::from(*label)) + 1
}

fn samples(images: Entries, labels: Entries, classes: usize) -> Result<Samples, DatasetError> {
    let inputs = images.bytes.iter().map(|pixel| f32::from(*pixel) / 255.0).collect();
    Samples::new(images.size, classes, inputs, labels.bytes)
}

fn read_images(path: PathBuf) -> Result<Entries, IdxError> {
    let mut source = open(&path)?;
    let [rows, columns, count] = {
        let header = read_header::<4>(&mut source, &path, IMAGES_MAGIC, "images")?;
        [header[2], header[3], header[1]]
    };
    read_entries(source, path, count, u64::from(rows) * u64::from(columns), 16)
}

fn read_labels(path: PathBuf) -> Result<Entries, IdxError> {
    let mut source = open(&path)?;
    let [_, count] = read_header::<2>(&mut source, &path, LABELS_MAGIC, "labels")?;
    read_entries(source, path, count, 1, 8)
}

/// A file's bytes, decompressed if they need to be.
struct Source {
    reader: Box<dyn Read>,
    gzipped: bool,
    /// The gzip stream broke off, though perhaps only in its checksum.
    cut: bool,
}

fn open(path: &Path) -> Result<Source, IdxError> {
    let failed = |source| IdxError::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut start = Vec::new();
    file.by_ref().take(2).read_to_end(&mut start).map_err(failed)?;
    let gzipped = start == GZIP_MAGIC;
    let whole = io::Cursor::new(start).chain(io::BufReader::new(file));
    let reader: Box<dyn Read> =
        if gzipped { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) };
    Ok(Source { reader, gzipped, cut: false })
}

impl Source {
    /// Reads up to `limit` bytes, fewer only where the file ends.
    ///
    /// A gzip stream that breaks off counts as a file that ends, and is marked.
    fn read(&mut self, limit: usize, path: &Path) -> Result<Vec<u8>, IdxError> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(limit).expect("limits fit a u64");
        match self.reader.by_ref().take(limit).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.cut = true;
                Ok(bytes)
            }
            Err(source) if self.gzipped => Err(IdxError::Gzip { path: path.to_owned(), source }),
            Err(source) => Err(IdxError::Read { path: path.to_owned(), source }),
        }
    }
}

/// Reads `N` big-endian numbers, of which the first must be `magic`.
fn read_header<const N: usize>(
    source: &mut Source,
    path: &Path,
    magic: u32,
    expected: &'static str,
) -> Result<[u32; N], IdxError> {
    let bytes = source.read(4 * N, path)?;
    let mut header = [0; N];
    for (number, chunk) in header.iter_mut().zip(bytes.chunks_exact(4)) {
        *number = u32::from_be_bytes(chunk.try_into().expect("chunks of four"));
    }
    if bytes.len() >= 4 && header[0] != magic {
        return Err(IdxError::Magic { path: path.to_owned(), expected, found: header[0] });
    }
    if bytes.len() < 4 * N {
        return Err(IdxError::Truncated {
            path: path.to_owned(),
            expected: 4 * N,
            found: bytes.len(),
        });
    }
    Ok(header)
}

/// Reads the entries after a header of `header_bytes`, and checks that the file ends there.
fn read_entries(
    mut source: Source,
    path: PathBuf,
    count: u32,
    size: u64,
    header_bytes: usize,
) -> Result<Entries, IdxError> {
    let Some((rows, row_bytes, total)) = within_limits(count, size) else {
        return Err(IdxError::Size { path, count, size });
    };
    // One byte more than announced, so that a longer file shows itself and the
    // decompressor reaches the checksum at the end.
    let bytes = source.read(total + 1, &path)?;
    let expected = total + header_bytes;
    if bytes.len() < total || source.cut {
        return Err(IdxError::Truncated { path, expected, found: bytes.len() + header_bytes });
    }
    if bytes.len() > total {
        return Err(IdxError::Trailing { path, expected });
    }
    Ok(Entries { path, count: rows, size: row_bytes, bytes })
}

/// Rows, bytes per row and bytes in all, if the limits allow them.
fn within_limits(count: u32, size: u64) -> Option<(usize, usize, usize)> {
    let rows = usize::try_from(count).ok().filter(|rows| (1..=SAMPLES_MAX).contains(rows))?;
    let row_bytes =
        usize::try_from(size).ok().filter(|bytes| (1..=IMAGE_PIXELS_MAX).contains(bytes))?;
    let total = rows.checked_mul(row_bytes).filter(|total| *total <= PIXELS_MAX)?;
    Some((rows, row_bytes, total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    /// A folder that is removed again.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("longhaul-idx-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, bytes: &[u8]) -> &Self {
            fs::write(self.0.join(name), bytes).unwrap();
            self
        }

        fn load(&self) -> Result<Dataset, IdxError> {
            load(&self.0)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            // The system clears its temporary folder if this does not.
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn file(header: &[u32], body: &[u8]) -> Vec<u8> {
        let header = header.iter().flat_map(|number| number.to_be_bytes());
        header.chain(body.iter().copied()).collect()
    }

    /// `count` images of 2 x 3 pixels.
    fn images(count: u8) -> Vec<u8> {
        let body: Vec<u8> = (0..count).flat_map(|image| [image; 6]).collect();
        file(&[IMAGES_MAGIC, u32::from(count), 2, 3], &body)
    }

    /// `count` labels from 0 to 3.
    fn labels(count: u8) -> Vec<u8> {
        let body: Vec<u8> = (0..count).map(|image| image % 4).collect();
        file(&[LABELS_MAGIC, u32::from(count)], &body)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    const IMAGES: &str = "t10k-images-idx3-ubyte";
    const LABELS: &str = "t10k-labels-idx1-ubyte";

    /// What loading says of these images beside ten sound labels.
    fn refusal(name: &str, images: &[u8]) -> IdxError {
        let folder = Folder::new(name);
        let error = folder.write(IMAGES, images).write(LABELS, &labels(10)).load().unwrap_err();
        assert!(error.to_string().contains(IMAGES), "{error}");
        error
    }

    #[test]
    fn splits_a_single_pair_into_four_fifths_and_one() {
        let folder = Folder::new("single");
        let data = folder
            .write(&format!("{IMAGES}.gz"), &gzip(&images(10)))
            .write(LABELS, &labels(10))
            .load()
            .unwrap();
        assert_eq!((data.train().len(), data.test().len()), (8, 2));
        assert_eq!((data.train().features(), data.train().classes()), (6, 4));
        assert_eq!(data.test().labels(), [0, 1]);
        assert_eq!(data.test().input(1), [9.0 / 255.0; 6]);
    }

    #[test]
    fn trains_with_the_train_files_where_there_are_any() {
        let folder = Folder::new("pairs");
        folder.write("train-images-idx3-ubyte.gz", &gzip(&images(20)));
        folder.write("train-labels-idx1-ubyte.gz", &gzip(&labels(20)));
        let data = folder.write(IMAGES, &images(3)).write(LABELS, &labels(3)).load().unwrap();
        assert_eq!((data.train().len(), data.test().len()), (20, 3));
        assert_eq!(data.test().classes(), 4);
    }

    #[test]
    fn names_the_missing_file() {
        let folder = Folder::new("missing");
        assert!(matches!(folder.load(), Err(IdxError::Missing { name, .. }) if name == IMAGES));
        folder.write(IMAGES, &images(10));
        let error = folder.load().unwrap_err();
        assert!(error.to_string().contains(&format!("{LABELS}.gz")), "{error}");
        let nowhere = load(Path::new("/nowhere/at/all"));
        assert!(matches!(nowhere, Err(IdxError::Missing { .. })));
    }

    #[test]
    fn refuses_files_of_any_wrong_length() {
        let whole = images(10);
        for length in 0..whole.len() {
            let error = refusal("short", &whole[..length]);
            assert!(
                matches!(error, IdxError::Truncated { found, .. } if found == length),
                "{length}: {error}"
            );
        }
        let long = [whole, vec![0]].concat();
        assert!(matches!(refusal("long", &long), IdxError::Trailing { expected: 76, .. }));
    }

    #[test]
    fn refuses_gzip_cut_or_changed_anywhere() {
        let whole = gzip(&images(10));
        for length in 2..whole.len() {
            let error = refusal("gzip-short", &whole[..length]);
            assert!(matches!(error, IdxError::Truncated { .. }), "{length}: {error}");
        }
        // Past the gzip header, whose name and time fields carry no data.
        for at in 10..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x55;
            refusal("gzip-changed", &changed);
        }
    }

    #[test]
    fn refuses_other_kinds_of_file() {
        let swapped = labels(10);
        assert!(matches!(
            refusal("swapped", &swapped),
            IdxError::Magic { found: LABELS_MAGIC, .. }
        ));
        assert!(matches!(refusal("text", b"<html>404"), IdxError::Magic { .. }));
    }

    #[test]
    fn refuses_images_and_labels_of_different_sets() {
        assert!(matches!(
            refusal("counts", &images(9)),
            IdxError::CountsDiffer { image_count: 9, label_count: 10, .. }
        ));
    }

    #[test]
    fn refuses_sizes_over_the_limits_before_reading() {
        let header = |count, rows, columns| file(&[IMAGES_MAGIC, count, rows, columns], &[]);
        for (count, rows, columns) in
            [(0, 2, 3), (10, 0, 3), (u32::MAX, 1, 1), (1, u32::MAX, u32::MAX), (1 << 20, 28, 28)]
        {
            assert!(matches!(
                refusal("size", &header(count, rows, columns)),
                IdxError::Size { .. }
            ));
        }
    }

    #[test]
    fn reads_no_more_of_a_bomb_than_it_announces() {
        // 64 MB of zeros in 64 kB, behind a header that announces ten small images.
        let bomb = [images(10), vec![0; 64 << 20]].concat();
        let packed = gzip(&bomb);
        assert!(packed.len() < 100_000);
        assert!(matches!(refusal("bomb", &packed), IdxError::Trailing { .. }));
    }

    #[test]
    fn refuses_a_set_too_small_to_split() {
        let folder = Folder::new("small");
        let error = folder.write(IMAGES, &images(1)).write(LABELS, &labels(1)).load().unwrap_err();
        assert!(matches!(error, IdxError::Dataset { source: DatasetError::Empty, .. }), "{error}");
    }
}
