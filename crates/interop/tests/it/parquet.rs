//! Parquet in: the types that data frames write, and the ones that do not belong.

use std::sync::Arc;

use ::parquet::{arrow::ArrowWriter, basic::Compression, file::properties::WriterProperties};
use arrow::{
    array::{
        ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array,
        Int8Array, Int64Array, LargeStringArray, RecordBatch, StringArray, StringViewArray,
        TimestampNanosecondArray, UInt64Array,
    },
    datatypes::Int8Type,
};
use interop::FileError;

use crate::{NOW, cases, read, reasons};

fn good() -> Vec<(&'static str, ArrayRef)> {
    vec![
        ("case_id", Arc::new(StringViewArray::from(vec!["a", "b"]))),
        (
            "recorded_at",
            Arc::new(
                TimestampNanosecondArray::from(vec![Some(NOW * 1_000 + 999), None]).with_timezone("UTC"),
            ),
        ),
        ("age_years", Arc::new(Int8Array::from(vec![54, 55]))),
        ("gender", Arc::new(vec!["female", "male"].into_iter().collect::<DictionaryArray<Int8Type>>())),
        ("blood_type", Arc::new(LargeStringArray::from(vec!["O", "AB"]))),
        ("systolic_mmhg", Arc::new(Float32Array::from(vec![138.0, 139.0]))),
        (
            "diastolic_mmhg",
            Arc::new(Decimal128Array::from(vec![860, 870]).with_precision_and_scale(5, 1).unwrap()),
        ),
        ("exercise_days_per_month", Arc::new(UInt64Array::from(vec![6, 7]))),
        ("confirmed_at", Arc::new(Date32Array::from(vec![Some(20_000), None]))),
        ("severity", Arc::new(StringArray::from(vec![Some("healthy"), None]))),
        ("ward", Arc::new(BooleanArray::from(vec![true, false]))),
    ]
}

fn write(columns: &[(&str, ArrayRef)], compression: Compression) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns.iter().cloned()).unwrap();
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn replaced(name: &str, array: ArrayRef) -> Vec<u8> {
    let mut columns = good();
    columns.iter_mut().find(|(column, _)| *column == name).unwrap().1 = array;
    write(&columns, Compression::SNAPPY)
}

#[test]
fn the_types_of_data_frames_are_understood_under_their_usual_compressions() {
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::ZSTD(Default::default()),
        Compression::LZ4_RAW,
    ] {
        let read = cases(read(write(&good(), compression), None, None).unwrap());
        assert_eq!(read[0].patient.values(), &[54, 0, 3, 138, 86, 6]);
        assert_eq!(read[1].patient.values(), &[55, 1, 2, 139, 87, 7]);
        assert_eq!((read[0].recorded_at, read[1].recorded_at), (NOW, NOW));
        assert_eq!(read[0].confirmed_at, Some(20_000 * 86_400_000_000));
    }
}

#[test]
fn a_column_of_the_wrong_type_refuses_its_rows() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("54"), None]));
    let rows = read(replaced("age_years", texts), None, None).unwrap();
    assert_eq!(
        rows.iter().map(reasons).collect::<Vec<_>>(),
        [["age_years:wrong_type"], ["age_years:missing"]]
    );
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None]));
    let rows = read(replaced("gender", flags), None, None).unwrap();
    assert_eq!(rows.iter().map(reasons).collect::<Vec<_>>(), [["gender:wrong_type"], ["gender:missing"]]);
    let reals: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, 138.5]));
    let rows = read(replaced("systolic_mmhg", reals), None, None).unwrap();
    assert_eq!(rows.iter().map(reasons).collect::<Vec<_>>(), [["systolic_mmhg:wrong_type"]; 2]);
    let times: ArrayRef = Arc::new(Int64Array::from(vec![0, 1]));
    let rows = read(replaced("recorded_at", times), None, None).unwrap();
    assert_eq!(rows.iter().map(reasons).collect::<Vec<_>>(), [["recorded_at:wrong_type"]; 2]);
    let days: ArrayRef = Arc::new(Date32Array::from(vec![i32::MAX, i32::MIN]));
    let rows = read(replaced("recorded_at", days), None, None).unwrap();
    assert_eq!(rows.iter().map(reasons).collect::<Vec<_>>(), [["recorded_at:out_of_range"]; 2]);
}

#[test]
fn a_refused_row_is_kept_as_json() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["fifty", "55"]));
    let rows = read(replaced("age_years", texts), None, None).unwrap();
    let interop::Row::Refused { line: 1, case_id, raw, .. } = &rows[0] else { panic!("{:?}", rows[0]) };
    assert_eq!(case_id.as_deref(), Some("a"));
    let raw: serde_json::Value = serde_json::from_str(raw).unwrap();
    assert_eq!((&raw["age_years"], &raw["gender"]), (&"fifty".into(), &"female".into()));
}

#[test]
fn damage_and_missing_columns_are_errors() {
    let bytes = write(&good(), Compression::SNAPPY);
    for cut in [5, bytes.len() / 2, bytes.len() - 9] {
        assert!(matches!(read(&bytes[..cut], None, None), Err(FileError::Damaged { format: "Parquet", .. })));
    }
    let error = read(write(&good()[..5], Compression::SNAPPY), None, None).unwrap_err();
    assert!(matches!(&error, FileError::MissingColumns(columns) if columns.len() == 3), "{error}");
}
