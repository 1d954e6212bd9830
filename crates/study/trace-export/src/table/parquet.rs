//! Tables as Parquet files: one row group, compressed with Snappy, which every reader knows. The format:
//! <https://parquet.apache.org/docs/file-format/> (documented).

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;

use super::{Cell, Column, ColumnType, Table};
use crate::ExportError;

/// What wrote the file, as the file says it. Without a version, so that the same run gives the same bytes.
const CREATED_BY: &str = "cargo xtask export";

impl Table {
    /// Writes it as a Parquet file, in which it has a name.
    ///
    /// # Errors
    /// What the output says.
    pub fn write_parquet(&self, name: &str, out: impl Write + Send) -> Result<(), ExportError> {
        self.write_all(name, out).map_err(|error| ExportError::Write(std::io::Error::other(error)))
    }

    fn write_all(&self, name: &str, out: impl Write + Send) -> Result<(), ParquetError> {
        let columns = self.columns.iter().map(|column| schema(column).map(Arc::new));
        let columns = columns.collect::<Result<_, _>>()?;
        let schema = Type::group_type_builder(name).with_fields(columns).build()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(CREATED_BY.to_owned())
            .build();
        let mut file = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties))?;
        let mut group = file.next_row_group()?;
        for (index, column) in self.columns.iter().enumerate() {
            let cells = self.rows.iter().filter_map(|row| row.get(index));
            match column.kind {
                ColumnType::Signed => write::<Int64Type>(&mut group, column, cells, |cell| match cell {
                    // Beyond it only a damaged file can be: 292 years of virtual time.
                    Cell::Unsigned(number) => Some(i64::try_from(*number).unwrap_or(i64::MAX)),
                    Cell::Negative(number) => Some(*number),
                    _ => None,
                }),
                // The bits of an unsigned number are stored as those of a signed one.
                ColumnType::Unsigned => write::<Int64Type>(&mut group, column, cells, |cell| match cell {
                    Cell::Unsigned(number) => Some(number.cast_signed()),
                    _ => None,
                }),
                ColumnType::Float => write::<DoubleType>(&mut group, column, cells, |cell| match cell {
                    Cell::Unsigned(number) => Some(*number as f64),
                    Cell::Negative(number) => Some(*number as f64),
                    Cell::Float(number) => Some(*number),
                    _ => None,
                }),
                ColumnType::Bool => write::<BoolType>(&mut group, column, cells, |cell| match cell {
                    Cell::Bool(value) => Some(*value),
                    _ => None,
                }),
                ColumnType::Text => write::<ByteArrayType>(&mut group, column, cells, |cell| match cell {
                    Cell::Text(text) => Some(ByteArray::from(text.as_str())),
                    _ => None,
                }),
            }?;
        }
        group.close()?;
        file.close()?;
        Ok(())
    }
}

/// A column as the file describes it.
fn schema(column: &Column) -> Result<Type, ParquetError> {
    let (physical, logical) = match column.kind {
        ColumnType::Signed => (Physical::INT64, None),
        ColumnType::Unsigned => (Physical::INT64, Some(LogicalType::integer(64, false))),
        ColumnType::Float => (Physical::DOUBLE, None),
        ColumnType::Bool => (Physical::BOOLEAN, None),
        ColumnType::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
    };
    Type::primitive_type_builder(&column.name, physical)
        .with_repetition(if column.filled { Repetition::REQUIRED } else { Repetition::OPTIONAL })
        .with_logical_type(logical)
        .build()
}

/// Writes the next column. A cell of which `take` makes nothing is empty.
fn write<'a, T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    column: &Column,
    cells: impl Iterator<Item = &'a Cell>,
    take: impl Fn(&Cell) -> Option<T::T>,
) -> Result<(), ParquetError> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    for cell in cells {
        let value = take(cell);
        levels.push(i16::from(value.is_some()));
        values.extend(value);
    }
    let Some(mut writer) = group.next_column()? else {
        return Err(ParquetError::General(format!("there is no column {}", column.name)));
    };
    let levels = (!column.filled).then_some(&*levels);
    writer.typed::<T>().write_batch(&values, levels, None)?;
    writer.close()
}
