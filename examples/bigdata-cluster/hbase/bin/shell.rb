# shell.rb: `hbase shell`. HBase's own shell is in no artifact of the repositories that Maven asks, so this one, in Ruby as well and on the
# same client, has those of its words that a course needs, with their syntax and their answers:
#   status [simple], version, list, create, describe, exists, disable, enable, drop, truncate, is_enabled, is_disabled,
#   put, get, scan, count, delete, deleteall, incr, flush, split, move, balancer, locate_region, help, exit
# hbase shell [-n] [FILE]: without a terminal, or with -n, it ends with 1 at the first error.
require 'java'
%w[TableName HBaseConfiguration HConstants].each { |name| java_import "org.apache.hadoop.hbase.#{name}" }
%w[ConnectionFactory Put Get Scan Delete Increment TableDescriptorBuilder ColumnFamilyDescriptorBuilder].each do |name|
  java_import "org.apache.hadoop.hbase.client.#{name}"
end
java_import org.apache.hadoop.hbase.util.Bytes
java_import org.apache.hadoop.hbase.util.VersionInfo

NAME, VERSIONS, LIMIT, STARTROW, STOPROW, COLUMN, COLUMNS, SPLITS, INTERVAL, TTL, IN_MEMORY =
  %w[NAME VERSIONS LIMIT STARTROW STOPROW COLUMN COLUMNS SPLITS INTERVAL TTL IN_MEMORY]

class Shell
  def initialize
    @connection = ConnectionFactory.create_connection(HBaseConfiguration.create)
    @admin = @connection.admin
  end

  def names
    self.class.public_instance_methods(false) - %i[names table rows cells_of]
  end

  def help(*) = puts("COMMANDS: #{names.sort.join(', ')}")
  def version = puts("#{VersionInfo.version}, r#{VersionInfo.revision}, #{VersionInfo.date}")

  def status(kind = 'summary')
    metrics = @admin.cluster_metrics
    live, dead = metrics.live_server_metrics, metrics.dead_server_names
    regions = live.values.sum { |server| server.region_metrics.size }
    if kind.to_s == 'summary'
      return puts("1 active master, #{metrics.backup_master_names.size} backup masters, #{live.size} servers, #{dead.size} dead, " \
                  "#{format('%.4f', live.empty? ? 0 : regions.to_f / live.size)} average load")
    end
    puts "active master:  #{metrics.master_name.address}", "#{live.size} live servers"
    live.each { |name, server| puts "    #{name.address} #{name.startcode}", "        numberOfOnlineRegions=#{server.region_metrics.size}" }
    puts "#{dead.size} dead servers"
    dead.each { |name| puts "    #{name}" }
    puts "Aggregate load: #{regions}, regions: #{regions}"
  end

  def list(pattern = '.*')
    found = @admin.list_table_names.map(&:name_as_string).grep(/\A#{pattern}\z/)
    rows(['TABLE', *found], found.size)
    puts found.inspect
  end

  def create(name, *families)
    builder = TableDescriptorBuilder.new_builder(TableName.value_of(name))
    splits = nil
    families.each do |family|
      family = { NAME => family } if family.is_a?(String)
      splits = family.delete(SPLITS) if family.key?(SPLITS)
      next if family.empty?

      column = ColumnFamilyDescriptorBuilder.new_builder(Bytes.to_bytes(family.fetch(NAME)))
      family.each { |key, value| column.set_value(key, value.to_s) unless key == NAME }
      builder.set_column_family(column.build)
    end
    if splits
      keys = splits.map { |key| Bytes.to_bytes(key) }.to_java(Java::byte[])
      @admin.create_table(builder.build, keys)
    else
      @admin.create_table(builder.build)
    end
    puts "Created table #{name}"
  end

  def describe(name)
    descriptor = table(name).descriptor
    puts "Table #{name} is #{@admin.is_table_enabled(descriptor.table_name) ? 'ENABLED' : 'DISABLED'}", name, 'COLUMN FAMILIES DESCRIPTION'
    descriptor.column_families.each { |family| puts family.to_string_customized_values }
  end

  def exists(name) = puts("Table #{name} #{@admin.table_exists(TableName.value_of(name)) ? 'does exist' : 'does not exist'}")
  def disable(name) = @admin.disable_table(TableName.value_of(name))
  def enable(name) = @admin.enable_table(TableName.value_of(name))
  def drop(name) = @admin.delete_table(TableName.value_of(name))
  def is_enabled(name) = puts(@admin.is_table_enabled(TableName.value_of(name)))
  def is_disabled(name) = puts(@admin.is_table_disabled(TableName.value_of(name)))
  def flush(name) = @admin.flush(TableName.value_of(name))
  def balancer = puts(@admin.balance)
  def split(name, at = nil) = at ? @admin.split(TableName.value_of(name), Bytes.to_bytes(at)) : @admin.split(TableName.value_of(name))

  def truncate(name)
    disable(name)
    @admin.truncate_table(TableName.value_of(name), true)
  end

  def move(region, server = nil)
    region = Bytes.to_bytes(region)
    server ? @admin.move(region, Java::OrgApacheHadoopHbase::ServerName.value_of(server)) : @admin.move(region)
  end

  def locate_region(name, row)
    found = @connection.get_region_locator(TableName.value_of(name)).get_region_location(Bytes.to_bytes(row), true)
    puts 'HOST                     REGION', " #{found.host_port}  #{found.region}"
  end

  def put(name, row, column, value, timestamp = nil)
    put = Put.new(Bytes.to_bytes(row.to_s))
    family, qualifier = column.split(':', 2).map { |part| Bytes.to_bytes(part) }
    value = Bytes.to_bytes(value.to_s)
    timestamp ? put.add_column(family, qualifier, timestamp, value) : put.add_column(family, qualifier, value)
    table(name).put(put)
  end

  def incr(name, row, column, by = 1)
    increment = Increment.new(Bytes.to_bytes(row))
    increment.add_column(*column.split(':', 2).map { |part| Bytes.to_bytes(part) }, by)
    result = table(name).increment(increment)
    puts "COUNTER VALUE = #{Bytes.to_long(result.value)}"
  end

  def get(name, row, *columns)
    get = Get.new(Bytes.to_bytes(row))
    options = columns.last.is_a?(Hash) ? columns.pop : {}
    select(get, columns + Array(options[COLUMN] || options[COLUMNS]))
    get.read_versions(options[VERSIONS]) if options[VERSIONS]
    cells = cells_of(table(name).get(get))
    rows(['COLUMN                    CELL', *cells.map { |column, text| format(' %-24s %s', column, text) }], cells.empty? ? 0 : 1)
  end

  def scan(name, options = {})
    found = scanned(name, options)
    lines = found.flat_map do |result|
      cells_of(result).map { |column, text| format(' %-24s column=%s, %s', Bytes.to_string_binary(result.row), column, text) }
    end
    rows(['ROW                       COLUMN+CELL', *lines], found.size)
  end

  def count(name, options = {})
    number = 0
    scan = Scan.new
    scan.set_filter(Java::OrgApacheHadoopHbaseFilter::FirstKeyOnlyFilter.new)
    table(name).get_scanner(scan).each do |result|
      number += 1
      puts "Current count: #{number}, row: #{Bytes.to_string_binary(result.row)}" if (number % (options[INTERVAL] || 1000)).zero?
    end
    rows([], number)
    puts "=> #{number}"
  end

  def delete(name, row, column)
    delete = Delete.new(Bytes.to_bytes(row))
    delete.add_column(*column.split(':', 2).map { |part| Bytes.to_bytes(part) })
    table(name).delete(delete)
  end

  def deleteall(name, row) = table(name).delete(Delete.new(Bytes.to_bytes(row)))

  private

  def table(name) = @connection.get_table(TableName.value_of(name))

  def rows(lines, number)
    puts lines, "#{number} row(s)"
  end

  def select(query, columns)
    columns.each do |column|
      family, qualifier = column.split(':', 2).map { |part| Bytes.to_bytes(part) }
      qualifier ? query.add_column(family, qualifier) : query.add_family(family)
    end
  end

  def scanned(name, options)
    scan = Scan.new
    scan.with_start_row(Bytes.to_bytes(options[STARTROW])) if options[STARTROW]
    scan.with_stop_row(Bytes.to_bytes(options[STOPROW])) if options[STOPROW]
    scan.set_limit(options[LIMIT]) if options[LIMIT]
    select(scan, Array(options[COLUMN] || options[COLUMNS]))
    table(name).get_scanner(scan).to_a
  end

  def cells_of(result)
    (result.raw_cells || []).map do |cell|
      cells = org.apache.hadoop.hbase.CellUtil
      column = "#{Bytes.to_string_binary(cells.clone_family(cell))}:#{Bytes.to_string_binary(cells.clone_qualifier(cell))}"
      time = Time.at(cell.timestamp / 1000.0).utc.strftime('%Y-%m-%dT%H:%M:%S.%L')
      [column, "timestamp=#{time}, value=#{Bytes.to_string_binary(cells.clone_value(cell))}"]
    end
  end
end

shell = Shell.new
told = ARGV.delete('-n') || ARGV.delete('--noninteractive')
strict = told || !$stdin.tty?
source = ARGV.first ? File.open(ARGV.first) : $stdin
scope = binding
define_singleton_method(:quit) { exit 0 }
shell.names.each { |name| define_singleton_method(name) { |*words| shell.public_send(name, *words) } }
pending = +''
number = 0
loop do
  if $stdin.tty? && !ARGV.first
    print pending.empty? ? "hbase:#{format('%03d', number += 1)}:0> " : '        '
    $stdout.flush
  end
  line = source.gets or break
  pending << line
  begin
    scope.eval(pending)
    $stdout.flush
    pending = +''
  rescue SyntaxError => error
    next if error.message.include?('unexpected end') || error.message.include?('end-of-file')
    warn "\nERROR: #{error.message}"
    exit 1 if strict
    pending = +''
  rescue NameError, StandardError, java.lang.Exception => error
    message = error.respond_to?(:message) ? error.message.to_s : error.to_s
    warn "\nERROR: #{message.lines.first.to_s.strip}\n\n"
    exit 1 if strict
    pending = +''
  end
end
exit 0
