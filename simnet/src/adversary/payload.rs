//! Payload: bytes that no compressor would write, for every refusal that a payload can earn.
//!
//! The bytes are those of the plain encoding; in another one the same chunks are written in its
//! own form where it has one for them, and are refused as they are where it has none.

use std::sync::Arc;

use longhaul_aggregation::update::VALUE_MAX;
use longhaul_aggregation::{EXPONENT_MAX, MaskKey, Update};
use longhaul_dtn::codec::Writer;
use longhaul_registry::manifest::Manifest;

use crate::scenario::Form;

/// Not a number, as a 16-bit float of CBOR.
const NOT_A_NUMBER: [u8; 3] = [0xf9, 0x7e, 0x00];

/// The payload that a hostile member signs in place of `honest`.
pub(super) fn of(form: Form, honest: &Update, manifest: &Manifest, key: &MaskKey) -> Arc<[u8]> {
    let lengths: Vec<usize> = manifest.schema.chunks().iter().map(|it| it.len()).collect();
    let bytes = match form {
        Form::Largest => chunks(&lengths, EXPONENT_MAX, |_| VALUE_MAX),
        Form::Smallest => chunks(&lengths, 0, |entry| if entry % 2 == 0 { 1 } else { -1 }),
        Form::Unpaired => chunks(&lengths, 0, |_| i8::MIN),
        Form::Exponent => chunks(&lengths, EXPONENT_MAX + 1, |_| 1),
        Form::Short => chunks(&lengths[..lengths.len().saturating_sub(1)], 0, |_| 1),
        Form::Twice => chunks(&[&lengths[..], &lengths].concat(), 0, |_| 1),
        Form::NotANumber => {
            let mut writer = Writer::new();
            writer.array(lengths.len());
            for _ in &lengths {
                writer.raw(&NOT_A_NUMBER);
            }
            writer.into_bytes()
        }
        Form::Cut => {
            let whole = honest.payload();
            return whole[..whole.len() - 1].into();
        }
        Form::Duplicate => return honest.payload().clone(),
    };
    let plain: Arc<[u8]> = bytes.into();
    let read = Update::decode(plain.clone(), &manifest.schema).ok();
    let written = read.and_then(|it| manifest.encoding.write(&it, &manifest.schema, key).ok());
    written.map_or(plain, |update| update.payload().clone())
}

/// One chunk of each length, with one exponent and the value of each entry's place.
fn chunks(lengths: &[usize], exponent: u8, value: impl Fn(usize) -> i8) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(lengths.len());
    for &length in lengths {
        let values: Vec<u8> = (0..length).map(|entry| value(entry).cast_unsigned()).collect();
        writer.array(2).unsigned(u64::from(exponent)).bytes(&values);
    }
    writer.into_bytes()
}

#[cfg(test)]
mod tests {
    use longhaul_aggregation::{Compressor, Encoding, Epoch, Parameters, UpdateError};

    use super::*;
    use crate::federation::Federation;
    use crate::testing;

    const FORMS: [Form; 9] = [
        Form::Largest,
        Form::Smallest,
        Form::NotANumber,
        Form::Unpaired,
        Form::Exponent,
        Form::Cut,
        Form::Short,
        Form::Twice,
        Form::Duplicate,
    ];

    fn read(form: Form, encoding: Encoding) -> Result<Update, UpdateError> {
        let federation = Federation::new(&testing::scenario()).expect("a federation");
        let mut manifest = federation.manifest.manifest().clone();
        manifest.encoding = encoding;
        let key = MaskKey::new(&[0; 32], Epoch::new(0));
        let delta = Parameters::from_f32(&[0.5; 10]).expect("finite");
        let mut compressor = Compressor::with(&manifest.schema, encoding);
        let honest = compressor.compress_in(&key, &delta, manifest.bounds.norm_max);
        let bytes = of(form, &honest, &manifest, &key);
        encoding.read(bytes, &manifest.schema, &key)
    }

    #[test]
    fn each_form_earns_its_refusal_or_is_admitted() {
        use UpdateError::{ChunkCount, Exponent, Malformed, Value};
        let plain = |form| read(form, Encoding::Int8);
        assert!(matches!(plain(Form::NotANumber), Err(Malformed(_))));
        assert!(matches!(plain(Form::Unpaired), Err(Value { chunk: 0 })));
        assert!(matches!(plain(Form::Exponent), Err(Exponent { exponent: 25, .. })));
        assert!(matches!(plain(Form::Cut), Err(Malformed(_))));
        assert!(matches!(plain(Form::Short), Err(ChunkCount { .. })));
        assert!(matches!(plain(Form::Twice), Err(ChunkCount { .. })));
        let smallest = plain(Form::Smallest).expect("an update");
        assert_eq!(smallest.squared_norm(), smallest.parameter_count() as u128);
        assert!(plain(Form::Largest).expect("well-formed").squared_norm() > 1 << 62);
        assert!(plain(Form::Duplicate).is_ok());
    }

    #[test]
    fn what_is_to_be_refused_is_refused_in_every_encoding() {
        for encoding in [Encoding::Int8Coded, Encoding::Int4, Encoding::TERNARY] {
            for form in FORMS.into_iter().filter(|it| !it.is_admitted()) {
                let found = read(form, encoding);
                let by_norm = form == Form::Largest;
                assert!(found.is_err() || by_norm, "{form:?} {encoding:?}");
            }
        }
    }
}
