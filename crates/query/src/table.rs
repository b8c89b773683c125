//! A table of the lake as a query sees it: masked and decoded while it is scanned.
//!
//! The stored columns never leave this file where a stand-in is due: filters on such a column are not handed to the
//! files (they meet the stand-in's values, later), and no statistics of the stored values are given away.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::view::ViewTable;
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::common::{DFSchema, Result, ToDFSchema};
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlanBuilder, TableProviderFilterPushDown, TableType, col, lit,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use lake::{Belonging, TableFiles, columns};
use url::Url;

/// One column as it is shown.
#[derive(Debug, Clone)]
struct Column {
    name: String,
    /// In terms of the stored columns.
    expression: Expr,
    /// Whether it is the stored column itself.
    stored: bool,
}

/// A table of the lake, shown through expressions over its stored columns.
#[derive(Debug)]
pub(crate) struct LakeTable {
    files: Arc<dyn TableProvider>,
    stored: Arc<DFSchema>,
    columns: Vec<Column>,
    shown: SchemaRef,
}

impl LakeTable {
    /// `shown` says what stands in for a stored column, if something does.
    pub(crate) fn new(
        files: &TableFiles,
        mut shown: impl FnMut(&Field) -> Result<Option<Expr>>,
    ) -> Result<LakeTable> {
        let stored = Arc::clone(&files.schema).to_dfschema_ref()?;
        let (mut columns, mut fields) = (Vec::new(), Vec::new());
        for field in files.schema.fields() {
            let stand_in = shown(field)?;
            let is_stored = stand_in.is_none();
            let expression = stand_in.unwrap_or_else(|| col(format!("\"{}\"", field.name())));
            let (_, described) = expression.to_field(&stored)?;
            fields.push(Field::new(field.name(), described.data_type().clone(), true));
            columns.push(Column { name: field.name().clone(), expression, stored: is_stored });
        }
        let shown = Arc::new(Schema::new(fields));
        Ok(LakeTable { files: parquet_table(files)?, stored, columns, shown })
    }
}

/// The version's rows as they are stored, without a mask: for what counts on behalf of this program.
pub(crate) fn parquet_table(files: &TableFiles) -> Result<Arc<dyn TableProvider>> {
    let whole = listing(&files.schema, &files.whole)?;
    if files.mixed.is_empty() {
        return Ok(whole);
    }
    let belonging = belonging(&files.belonging);
    let mixed = scan("mixed", listing(&files.schema, &files.mixed)?)?.filter(belonging)?.build()?;
    let all = match files.whole.is_empty() {
        true => mixed,
        false => scan("whole", whole)?.union(mixed)?.build()?,
    };
    Ok(Arc::new(ViewTable::new(all, None)))
}

fn scan(name: &str, table: Arc<dyn TableProvider>) -> Result<LogicalPlanBuilder> {
    LogicalPlanBuilder::scan(name, provider_as_source(table), None)
}

/// The condition that a row belongs to the version.
fn belonging(belonging: &Belonging) -> Expr {
    match belonging {
        Belonging::Versions(versions) => {
            let version = || col(columns::DATASET_VERSION);
            let ranges = versions.ranges().iter();
            let inside = ranges.map(|&(first, last)| version().between(lit(first as i64), lit(last as i64)));
            inside.reduce(Expr::or).unwrap_or_else(|| lit(false))
        }
        Belonging::Ingests(ingests) => {
            let ids = ingests.iter().map(|id| lit(id.to_string())).collect();
            col(columns::INGEST_ID).in_list(ids, false)
        }
    }
}

fn listing(schema: &SchemaRef, files: &[Url]) -> Result<Arc<dyn TableProvider>> {
    if files.is_empty() {
        return Ok(Arc::new(MemTable::try_new(Arc::clone(schema), vec![Vec::new()])?));
    }
    let urls = files.iter().map(ListingTableUrl::parse).collect::<Result<Vec<_>>>()?;
    let options = ListingOptions::new(Arc::new(ParquetFormat::default()));
    let config = ListingTableConfig::new_with_multi_paths(urls)
        .with_listing_options(options)
        .with_schema(Arc::clone(schema));
    Ok(Arc::new(ListingTable::try_new(config)?))
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.shown)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let is_stored = |name: &str| self.columns.iter().any(|column| column.stored && column.name == name);
        let support = |filter: &&Expr| {
            if filter.column_refs().iter().all(|column| is_stored(&column.name)) {
                TableProviderFilterPushDown::Inexact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.columns.len()).collect();
        let wanted: Vec<&Column> =
            projection.unwrap_or(&all).iter().map(|&index| &self.columns[index]).collect();
        let mut needed: Vec<usize> = Vec::new();
        for column in &wanted {
            for reference in column.expression.column_refs() {
                needed.push(self.stored.index_of_column(reference)?);
            }
        }
        needed.sort_unstable();
        needed.dedup();
        let input = self.files.scan(state, Some(&needed), filters, limit).await?;
        let schema = input.schema().to_dfschema()?;
        let expressions = wanted.iter().map(|column| {
            let expression = state.create_physical_expr(column.expression.clone(), &schema)?;
            Ok(ProjectionExpr { expr: expression, alias: column.name.clone() })
        });
        Ok(Arc::new(ProjectionExec::try_new(expressions.collect::<Result<Vec<_>>>()?, input)?))
    }
}
