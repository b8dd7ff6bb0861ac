//! How lines become the bytes of an object: the same ones every time.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::gzip::Members;

const ZSTD_LEVEL: i32 = 3;

/// How objects are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all: `.jsonl`.
    None,
    /// Gzip: `.jsonl.gz`.
    #[default]
    Gzip,
    /// Zstandard: `.jsonl.zst`.
    Zstd,
}

/// Takes lines, gives the bytes of an object.
pub(crate) enum Encoder {
    Plain(Vec<u8>),
    Gzip(Members),
    Zstd(zstd::Encoder<'static, Vec<u8>>),
}

impl Compression {
    pub(crate) const ALL: [Self; 3] = [Self::None, Self::Gzip, Self::Zstd];

    /// What the names of objects end in.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::None => ".jsonl",
            Self::Gzip => ".jsonl.gz",
            Self::Zstd => ".jsonl.zst",
        }
    }

    pub(crate) fn encoder(self) -> io::Result<Encoder> {
        Ok(match self {
            Self::None => Encoder::Plain(Vec::new()),
            Self::Gzip => Encoder::Gzip(Members::new()),
            Self::Zstd => Encoder::Zstd(zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?),
        })
    }

    /// What was encoded, piece by piece.
    pub(crate) fn decoder<'a>(
        self,
        bytes: impl io::BufRead + Send + 'a,
    ) -> io::Result<Box<dyn io::Read + Send + 'a>> {
        Ok(match self {
            Self::None => Box::new(bytes),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(bytes)),
            Self::Zstd => Box::new(zstd::Decoder::with_buffer(bytes)?),
        })
    }
}

impl Encoder {
    pub(crate) fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let out: &mut dyn Write = match self {
            Self::Plain(out) => out,
            Self::Gzip(out) => out,
            Self::Zstd(out) => out,
        };
        out.write_all(line)?;
        out.write_all(b"\n")
    }

    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain(out) => Ok(out),
            Self::Gzip(out) => out.finish(),
            Self::Zstd(out) => out.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn an_object_without_lines_can_be_read() {
        for compression in Compression::ALL {
            let bytes = compression.encoder().unwrap().finish().unwrap();
            let mut text = String::new();
            compression.decoder(&bytes[..]).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "");
        }
    }

    #[test]
    fn the_same_lines_give_the_same_bytes_and_come_back() {
        // Some end within a member of gzip, one is longer than several.
        let lines: Vec<String> = [10, 200_000, 0, 100_000, 1_000_000, 7]
            .iter()
            .zip(0..)
            .map(|(length, n)| format!("{n} ").repeat(*length))
            .collect();
        for compression in Compression::ALL {
            let encode = || {
                let mut encoder = compression.encoder().unwrap();
                lines.iter().for_each(|line| encoder.line(line.as_bytes()).unwrap());
                encoder.finish().unwrap()
            };
            let bytes = encode();
            assert_eq!(bytes, encode());
            let mut text = String::new();
            compression.decoder(&bytes[..]).unwrap().read_to_string(&mut text).unwrap();
            assert!(text.lines().eq(&lines), "{compression:?}");
        }
    }
}
