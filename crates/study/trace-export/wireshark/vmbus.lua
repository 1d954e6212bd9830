-- A Wireshark dissector for VMBus: channel messages of the control plane, packets of rings, and the Dynamic Memory protocol.
--
-- For Wireshark 4.0 and newer. It reads what `cargo xtask export DIR --format pcapng` writes: link type 252 (upper PDU) with the
-- dissector name "vmbus", and before each message or packet a header of 28 bytes that says direction, layer, channel, VM and
-- class of the device. Install: copy this file to the folder that Help > About > Folders calls "Personal Lua Plugins", or
-- name it on the command line: tshark -X lua_script:vmbus.lua -r run.pcapng
--
-- The layouts are facts from public sources: Linux' include/linux/hyperv.h and drivers/hv/hv_balloon.c, and OpenVMM's crates.
-- All integers on the wire are little-endian. Nothing a packet holds makes the dissector read beyond it: what is too short is shown as
-- malformed.

local vmbus = Proto("vmbus", "Hyper-V VMBus")
local dm = Proto("hv_dm", "Hyper-V Dynamic Memory")

local HEADER = 28

local directions = { [0] = "host to guest", [1] = "guest to host" }
local layers = { [0] = "control message", [1] = "ring packet" }

local message_types = {
    [1] = "OFFERCHANNEL", [2] = "RESCIND_CHANNELOFFER", [3] = "REQUESTOFFERS", [4] = "ALLOFFERS_DELIVERED",
    [5] = "OPENCHANNEL", [6] = "OPENCHANNEL_RESULT", [7] = "CLOSECHANNEL", [8] = "GPADL_HEADER", [9] = "GPADL_BODY",
    [10] = "GPADL_CREATED", [11] = "GPADL_TEARDOWN", [12] = "GPADL_TORNDOWN", [13] = "RELID_RELEASED",
    [14] = "INITIATE_CONTACT", [15] = "VERSION_RESPONSE", [16] = "UNLOAD", [17] = "UNLOAD_RESPONSE",
    [21] = "TL_CONNECT_REQUEST", [22] = "MODIFYCHANNEL", [23] = "TL_CONNECT_RESULT", [24] = "MODIFYCHANNEL_RESPONSE",
}

local packet_types = {
    [6] = "in-band data", [7] = "transfer pages", [8] = "GPADL", [9] = "GPA direct", [11] = "completion",
}

local dm_types = {
    [0] = "ERROR", [1] = "VERSION_REQUEST", [2] = "VERSION_RESPONSE", [3] = "CAPABILITIES_REPORT",
    [4] = "CAPABILITIES_RESPONSE", [5] = "STATUS_REPORT", [6] = "BALLOON_REQUEST", [7] = "BALLOON_RESPONSE",
    [8] = "UNBALLOON_REQUEST", [9] = "UNBALLOON_RESPONSE", [10] = "MEM_HOT_ADD_REQUEST", [11] = "MEM_HOT_ADD_RESPONSE",
    [12] = "INFO_MESSAGE", [13] = "MEM_HOT_REMOVE_REQUEST", [14] = "MEM_HOT_REMOVE_RESPONSE",
}

-- Class GUIDs of devices that have names, in the order of the wire.
local classes = {
    ["dc7450528589e2468057a307dc18a502"] = "Dynamic Memory",
    ["d96361baa104294db60572e2ffb1dc7f"] = "Storage",
    ["635161f83edfc546913ff2d2f965ed0e"] = "Network",
    ["394f16571591784eab55382f3bd5422d"] = "Heartbeat",
}
local DYNAMIC_MEMORY = "dc7450528589e2468057a307dc18a502"

local f = {}
f.version = ProtoField.uint8("vmbus.header.version", "Header version")
f.direction = ProtoField.uint8("vmbus.direction", "Direction", base.DEC, directions)
f.layer = ProtoField.uint8("vmbus.layer", "Layer", base.DEC, layers)
f.vm = ProtoField.uint32("vmbus.vm", "VM number")
f.class = ProtoField.string("vmbus.class", "Device class")
f.target = ProtoField.uint32("vmbus.target", "Connection (guest to host) or VP (host to guest)")
f.child_relid = ProtoField.uint32("vmbus.child_relid", "Channel (child_relid)")

f.msgtype = ProtoField.uint32("vmbus.msgtype", "Message type", base.DEC, message_types)
f.padding = ProtoField.uint32("vmbus.padding", "Padding")
f.if_type = ProtoField.guid("vmbus.offer.if_type", "Class (if_type)")
f.if_instance = ProtoField.guid("vmbus.offer.if_instance", "Instance (if_instance)")
f.chn_flags = ProtoField.uint16("vmbus.offer.chn_flags", "Channel flags", base.HEX)
f.mmio = ProtoField.uint16("vmbus.offer.mmio_megabytes", "MMIO space (MiB)")
f.user_def = ProtoField.bytes("vmbus.offer.user_def", "User defined")
f.sub_channel_index = ProtoField.uint16("vmbus.offer.sub_channel_index", "Subchannel index")
f.monitorid = ProtoField.uint8("vmbus.offer.monitorid", "Monitor id")
f.monitor_allocated = ProtoField.bool("vmbus.offer.monitor_allocated", "Monitor allocated", 8, nil, 0x01)
f.dedicated = ProtoField.bool("vmbus.offer.is_dedicated_interrupt", "Dedicated interrupt", 16, nil, 0x0001)
f.connection_id = ProtoField.uint32("vmbus.offer.connection_id", "Connection id for signals", base.HEX)
f.openid = ProtoField.uint32("vmbus.openid", "Open id (openid)")
f.gpadl = ProtoField.uint32("vmbus.gpadl", "GPADL", base.HEX)
f.target_vp = ProtoField.uint32("vmbus.target_vp", "Target VP")
f.downstream = ProtoField.uint32("vmbus.downstream_ringbuffer_pageoffset", "Downstream ring begins at page")
f.userdata = ProtoField.bytes("vmbus.userdata", "User data")
f.status = ProtoField.uint32("vmbus.status", "Status", base.HEX)
f.range_buflen = ProtoField.uint16("vmbus.gpadl.range_buflen", "Bytes of all ranges")
f.rangecount = ProtoField.uint16("vmbus.gpadl.rangecount", "Number of ranges")
f.byte_count = ProtoField.uint32("vmbus.gpadl.byte_count", "Bytes of the range")
f.byte_offset = ProtoField.uint32("vmbus.gpadl.byte_offset", "Offset in the first page")
f.msgnumber = ProtoField.uint32("vmbus.gpadl.msgnumber", "Message number")
f.pfn = ProtoField.uint64("vmbus.gpadl.pfn", "Page", base.HEX)
f.vmbus_version = ProtoField.uint32("vmbus.version", "VMBus version", base.HEX)
f.interrupt_page = ProtoField.uint64("vmbus.contact.interrupt_page", "Interrupt page, or SINT and VTL (from 5.0)", base.HEX)
f.monitor_page1 = ProtoField.uint64("vmbus.contact.monitor_page1", "Monitor page 1", base.HEX)
f.monitor_page2 = ProtoField.uint64("vmbus.contact.monitor_page2", "Monitor page 2", base.HEX)
f.version_supported = ProtoField.bool("vmbus.version_supported", "Version supported", 8, nil, 0xff)
f.connection_state = ProtoField.uint8("vmbus.connection_state", "Connection state")
f.msg_conn_id = ProtoField.uint32("vmbus.msg_conn_id", "Connection id (from 5.0) or version")
f.endpoint = ProtoField.guid("vmbus.tl.guest_endpoint_id", "Guest's end")
f.service = ProtoField.guid("vmbus.tl.host_service_id", "Host's service")
f.body = ProtoField.bytes("vmbus.body", "Body")

f.type = ProtoField.uint16("vmbus.packet.type", "Packet type", base.DEC, packet_types)
f.offset8 = ProtoField.uint16("vmbus.packet.offset8", "Data begins at (8 bytes)")
f.len8 = ProtoField.uint16("vmbus.packet.len8", "Length (8 bytes)")
f.flags = ProtoField.uint16("vmbus.packet.flags", "Flags", base.HEX)
f.completion = ProtoField.bool("vmbus.packet.flags.completion_requested", "Completion requested", 16, nil, 0x0001)
f.trans_id = ProtoField.uint64("vmbus.packet.trans_id", "Transaction id", base.DEC)
f.extra = ProtoField.bytes("vmbus.packet.ranges", "Between descriptor and payload")
f.payload = ProtoField.bytes("vmbus.packet.payload", "Payload")

local d = {}
d.type = ProtoField.uint16("hv_dm.type", "Type", base.DEC, dm_types)
d.size = ProtoField.uint16("hv_dm.size", "Size")
d.trans_id = ProtoField.uint32("hv_dm.trans_id", "Transaction id")
d.version = ProtoField.uint32("hv_dm.version", "Version", base.HEX)
d.is_last_attempt = ProtoField.bool("hv_dm.is_last_attempt", "Last attempt", 32, nil, 0x1)
d.is_accepted = ProtoField.bool("hv_dm.is_accepted", "Accepted", 32, nil, 0x1)
d.hot_remove_ok = ProtoField.bool("hv_dm.caps_response.hot_remove", "Hot-remove", 32, nil, 0x2)
d.suppress = ProtoField.bool("hv_dm.suppress_pressure_reports", "Suppress pressure reports", 32, nil, 0x4)
d.caps = ProtoField.uint32("hv_dm.caps", "Capabilities", base.HEX)
d.balloon = ProtoField.bool("hv_dm.caps.balloon", "Balloon", 32, nil, 0x1)
d.hot_add = ProtoField.bool("hv_dm.caps.hot_add", "Hot-add", 32, nil, 0x2)
d.alignment = ProtoField.uint32("hv_dm.caps.hot_add_alignment", "Hot-add alignment (2^n MiB)", base.DEC, nil, 0x3c)
d.hot_remove = ProtoField.bool("hv_dm.caps.hot_remove", "Hot-remove", 32, nil, 0x40)
d.min_page_cnt = ProtoField.uint64("hv_dm.min_page_cnt", "Least pages")
d.max_page_number = ProtoField.uint64("hv_dm.max_page_number", "Highest page number", base.HEX)
d.num_avail = ProtoField.uint64("hv_dm.num_avail", "Available (pages)")
d.num_committed = ProtoField.uint64("hv_dm.num_committed", "Committed (pages)")
d.page_file_size = ProtoField.uint64("hv_dm.page_file_size", "Page files (pages)")
d.zero_free = ProtoField.uint64("hv_dm.zero_free", "Zeroed and free (pages)")
d.page_file_writes = ProtoField.uint32("hv_dm.page_file_writes", "Page-file writes (pages)")
d.io_diff = ProtoField.uint32("hv_dm.io_diff", "File-cache faults less page reads")
d.num_pages = ProtoField.uint32("hv_dm.num_pages", "Pages asked for")
d.more_pages = ProtoField.bool("hv_dm.more_pages", "More pages follow", 32, nil, 0x1)
d.range_count_31 = ProtoField.uint32("hv_dm.balloon_response.range_count", "Ranges", base.DEC, nil, 0xfffffffe)
d.range_count = ProtoField.uint32("hv_dm.range_count", "Ranges")
d.range = ProtoField.uint64("hv_dm.range", "Range", base.HEX)
d.start_page = ProtoField.uint64("hv_dm.range.start_page", "First page", base.HEX)
d.page_cnt = ProtoField.uint32("hv_dm.range.page_cnt", "Pages")
d.page_count = ProtoField.uint32("hv_dm.page_count", "Pages")
d.result = ProtoField.uint32("hv_dm.result", "Result")
d.info_size = ProtoField.uint32("hv_dm.info_size", "Bytes of information")
d.info_type = ProtoField.uint32("hv_dm.info.type", "Kind of information", base.DEC, { [0] = "MAX_PAGE_CNT" })
d.data_size = ProtoField.uint32("hv_dm.info.data_size", "Bytes of data")
d.max_page_count = ProtoField.uint64("hv_dm.info.max_page_count", "Most pages that the VM can have")
d.virtual_node = ProtoField.uint32("hv_dm.virtual_node", "Virtual node")
d.qos_flags = ProtoField.uint32("hv_dm.qos_flags", "QoS flags", base.HEX)
d.body = ProtoField.bytes("hv_dm.body", "Body")

local function list(fields)
    local all = {}
    for _, field in pairs(fields) do
        all[#all + 1] = field
    end
    return all
end
vmbus.fields = list(f)
dm.fields = list(d)

local short = ProtoExpert.new("vmbus.short", "Shorter than its type needs", expert.group.MALFORMED, expert.severity.ERROR)
vmbus.experts = { short }
local dm_short = ProtoExpert.new("hv_dm.short", "Shorter than its type needs", expert.group.MALFORMED, expert.severity.ERROR)
local dm_size = ProtoExpert.new("hv_dm.wrong_size", "The size in the header is not that of the packet", expert.group.MALFORMED,
    expert.severity.ERROR)
dm.experts = { dm_short, dm_size }

-- Whether the range has so many bytes; a complaint in the tree if not.
local function has(tvb, bytes, tree, complaint)
    if tvb:len() >= bytes then
        return true
    end
    tree:add_proto_expert_info(complaint)
    return false
end

-- Page ranges to the end of `count`: 40 bits of page number, 24 of count.
local function ranges(tvb, at, count, tree)
    for index = 0, count - 1 do
        local offset = at + 8 * index
        if offset + 8 > tvb:len() then
            tree:add_proto_expert_info(dm_short)
            return
        end
        local range = tvb(offset, 8)
        local pages = tvb(offset + 5, 3):le_uint()
        local start = UInt64(tvb(offset, 4):le_uint(), tvb(offset + 4, 1):uint())
        local branch = tree:add_le(d.range, range)
        branch:add(d.start_page, tvb(offset, 5), start)
        branch:add(d.page_cnt, tvb(offset + 5, 3), pages)
    end
end

local dm_bodies = {
    [1] = { 16, function(tvb, tree)
        tree:add_le(d.version, tvb(8, 4))
        tree:add_le(d.is_last_attempt, tvb(12, 4))
    end },
    [2] = { 16, function(tvb, tree) tree:add_le(d.is_accepted, tvb(8, 4)) end },
    [3] = { 32, function(tvb, tree)
        local caps = tree:add_le(d.caps, tvb(8, 4))
        caps:add_le(d.balloon, tvb(8, 4))
        caps:add_le(d.hot_add, tvb(8, 4))
        caps:add_le(d.alignment, tvb(8, 4))
        caps:add_le(d.hot_remove, tvb(8, 4))
        tree:add_le(d.min_page_cnt, tvb(16, 8))
        tree:add_le(d.max_page_number, tvb(24, 8))
    end },
    [4] = { 16, function(tvb, tree)
        tree:add_le(d.is_accepted, tvb(8, 4))
        tree:add_le(d.hot_remove_ok, tvb(8, 4))
        tree:add_le(d.suppress, tvb(8, 4))
    end },
    [5] = { 48, function(tvb, tree)
        tree:add_le(d.num_avail, tvb(8, 8))
        tree:add_le(d.num_committed, tvb(16, 8))
        tree:add_le(d.page_file_size, tvb(24, 8))
        tree:add_le(d.zero_free, tvb(32, 8))
        tree:add_le(d.page_file_writes, tvb(40, 4))
        tree:add_le(d.io_diff, tvb(44, 4))
    end },
    [6] = { 16, function(tvb, tree) tree:add_le(d.num_pages, tvb(8, 4)) end },
    [7] = { 16, function(tvb, tree)
        tree:add_le(d.more_pages, tvb(12, 4))
        tree:add_le(d.range_count_31, tvb(12, 4))
        ranges(tvb, 16, math.floor(tvb(12, 4):le_uint() / 2), tree)
    end },
    [8] = { 16, function(tvb, tree)
        tree:add_le(d.more_pages, tvb(8, 4))
        tree:add_le(d.range_count, tvb(12, 4))
        ranges(tvb, 16, tvb(12, 4):le_uint(), tree)
    end },
    [9] = { 8, function() end },
    [10] = { 16, function(tvb, tree) ranges(tvb, 8, tvb:len() >= 24 and 2 or 1, tree) end },
    [11] = { 16, function(tvb, tree)
        tree:add_le(d.page_count, tvb(8, 4))
        tree:add_le(d.result, tvb(12, 4))
    end },
    [12] = { 16, function(tvb, tree)
        tree:add_le(d.info_size, tvb(12, 4))
        if tvb:len() >= 24 then
            tree:add_le(d.info_type, tvb(16, 4))
            tree:add_le(d.data_size, tvb(20, 4))
            if tvb(16, 4):le_uint() == 0 and tvb:len() >= 32 then
                tree:add_le(d.max_page_count, tvb(24, 8))
            end
        end
    end },
    [13] = { 24, function(tvb, tree)
        tree:add_le(d.virtual_node, tvb(8, 4))
        tree:add_le(d.page_count, tvb(12, 4))
        tree:add_le(d.qos_flags, tvb(16, 4))
    end },
    [14] = { 24, function(tvb, tree)
        tree:add_le(d.result, tvb(8, 4))
        tree:add_le(d.range_count, tvb(12, 4))
        tree:add_le(d.more_pages, tvb(16, 4))
        ranges(tvb, 24, tvb(12, 4):le_uint(), tree)
    end },
}

function dm.dissector(tvb, pinfo, tree)
    local branch = tree:add(dm, tvb())
    if not has(tvb, 8, branch, dm_short) then
        return
    end
    local kind, size = tvb(0, 2):le_uint(), tvb(2, 2):le_uint()
    pinfo.cols.protocol = "DM"
    pinfo.cols.info = dm_types[kind] or ("type " .. kind)
    branch:append_text(": " .. (dm_types[kind] or ("type " .. kind)))
    branch:add_le(d.type, tvb(0, 2))
    branch:add_le(d.size, tvb(2, 2))
    branch:add_le(d.trans_id, tvb(4, 4))
    -- A ring pads to 8 bytes; the header knows the length.
    if size < 8 or size > tvb:len() then
        branch:add_proto_expert_info(dm_size)
        return
    end
    local whole = tvb(0, size):tvb()
    local body = dm_bodies[kind]
    if not body then
        if size > 8 then
            branch:add(d.body, tvb(8, size - 8))
        end
    elseif has(whole, body[1], branch, dm_short) then
        body[2](whole, branch)
    end
end

local function relid(tvb, at, tree)
    tree:add_le(f.child_relid, tvb(at, 4))
end

-- Each with the bytes that it needs, header included.
local bodies = {
    [1] = { 196, function(tvb, tree)
        tree:add_le(f.if_type, tvb(8, 16))
        tree:add_le(f.if_instance, tvb(24, 16))
        tree:add_le(f.chn_flags, tvb(56, 2))
        tree:add_le(f.mmio, tvb(58, 2))
        tree:add(f.user_def, tvb(60, 120))
        tree:add_le(f.sub_channel_index, tvb(180, 2))
        relid(tvb, 184, tree)
        tree:add(f.monitorid, tvb(188, 1))
        tree:add(f.monitor_allocated, tvb(189, 1))
        tree:add_le(f.dedicated, tvb(190, 2))
        tree:add_le(f.connection_id, tvb(192, 4))
    end },
    [2] = { 12, function(tvb, tree) relid(tvb, 8, tree) end },
    [3] = { 8, function() end },
    [4] = { 8, function() end },
    [5] = { 148, function(tvb, tree)
        relid(tvb, 8, tree)
        tree:add_le(f.openid, tvb(12, 4))
        tree:add_le(f.gpadl, tvb(16, 4))
        tree:add_le(f.target_vp, tvb(20, 4))
        tree:add_le(f.downstream, tvb(24, 4))
        tree:add(f.userdata, tvb(28, 120))
    end },
    [6] = { 20, function(tvb, tree)
        relid(tvb, 8, tree)
        tree:add_le(f.openid, tvb(12, 4))
        tree:add_le(f.status, tvb(16, 4))
    end },
    [7] = { 12, function(tvb, tree) relid(tvb, 8, tree) end },
    [8] = { 28, function(tvb, tree)
        relid(tvb, 8, tree)
        tree:add_le(f.gpadl, tvb(12, 4))
        tree:add_le(f.range_buflen, tvb(16, 2))
        tree:add_le(f.rangecount, tvb(18, 2))
        tree:add_le(f.byte_count, tvb(20, 4))
        tree:add_le(f.byte_offset, tvb(24, 4))
        for at = 28, tvb:len() - 8, 8 do
            tree:add_le(f.pfn, tvb(at, 8))
        end
    end },
    [9] = { 16, function(tvb, tree)
        tree:add_le(f.msgnumber, tvb(8, 4))
        tree:add_le(f.gpadl, tvb(12, 4))
        for at = 16, tvb:len() - 8, 8 do
            tree:add_le(f.pfn, tvb(at, 8))
        end
    end },
    [10] = { 20, function(tvb, tree)
        relid(tvb, 8, tree)
        tree:add_le(f.gpadl, tvb(12, 4))
        tree:add_le(f.status, tvb(16, 4))
    end },
    [11] = { 16, function(tvb, tree)
        relid(tvb, 8, tree)
        tree:add_le(f.gpadl, tvb(12, 4))
    end },
    [12] = { 12, function(tvb, tree) tree:add_le(f.gpadl, tvb(8, 4)) end },
    [13] = { 12, function(tvb, tree) relid(tvb, 8, tree) end },
    [14] = { 40, function(tvb, tree)
        local version = tree:add_le(f.vmbus_version, tvb(8, 4))
        version:append_text(string.format(" (%d.%d)", tvb(10, 2):le_uint(), tvb(8, 2):le_uint()))
        tree:add_le(f.target_vp, tvb(12, 4))
        tree:add_le(f.interrupt_page, tvb(16, 8))
        tree:add_le(f.monitor_page1, tvb(24, 8))
        tree:add_le(f.monitor_page2, tvb(32, 8))
    end },
    [15] = { 16, function(tvb, tree)
        tree:add(f.version_supported, tvb(8, 1))
        tree:add(f.connection_state, tvb(9, 1))
        tree:add_le(f.msg_conn_id, tvb(12, 4))
    end },
    [16] = { 8, function() end },
    [17] = { 8, function() end },
    [21] = { 40, function(tvb, tree)
        tree:add_le(f.endpoint, tvb(8, 16))
        tree:add_le(f.service, tvb(24, 16))
    end },
    [22] = { 16, function(tvb, tree)
        relid(tvb, 8, tree)
        tree:add_le(f.target_vp, tvb(12, 4))
    end },
    [23] = { 44, function(tvb, tree)
        tree:add_le(f.endpoint, tvb(8, 16))
        tree:add_le(f.service, tvb(24, 16))
        tree:add_le(f.status, tvb(40, 4))
    end },
    [24] = { 16, function(tvb, tree)
        relid(tvb, 8, tree)
        tree:add_le(f.status, tvb(12, 4))
    end },
}

local function message(tvb, pinfo, tree)
    if not has(tvb, 8, tree, short) then
        return
    end
    local kind = tvb(0, 4):le_uint()
    local name = message_types[kind] or ("message type " .. kind)
    pinfo.cols.info = name
    tree:append_text(": " .. name)
    tree:add_le(f.msgtype, tvb(0, 4))
    tree:add_le(f.padding, tvb(4, 4))
    local body = bodies[kind]
    if not body then
        if tvb:len() > 8 then
            tree:add(f.body, tvb(8))
        end
    elseif has(tvb, body[1], tree, short) then
        body[2](tvb, tree)
    end
end

local function packet(tvb, pinfo, tree, root, class)
    if not has(tvb, 16, tree, short) then
        return
    end
    local kind, data, length = tvb(0, 2):le_uint(), tvb(2, 2):le_uint() * 8, tvb(4, 2):le_uint() * 8
    local name = packet_types[kind] or ("packet type " .. kind)
    pinfo.cols.info = name
    tree:append_text(": " .. name)
    tree:add_le(f.type, tvb(0, 2))
    tree:add_le(f.offset8, tvb(2, 2))
    tree:add_le(f.len8, tvb(4, 2))
    tree:add_le(f.flags, tvb(6, 2)):add_le(f.completion, tvb(6, 2))
    tree:add_le(f.trans_id, tvb(8, 8))
    if data < 16 or data > length or length > tvb:len() then
        tree:add_proto_expert_info(short)
        return
    end
    if data > 16 then
        tree:add(f.extra, tvb(16, data - 16))
    end
    if length == data then
        return
    end
    if kind == 6 and class == DYNAMIC_MEMORY then
        dm.dissector(tvb(data, length - data):tvb(), pinfo, root)
    else
        tree:add(f.payload, tvb(data, length - data))
    end
end

function vmbus.dissector(tvb, pinfo, root)
    pinfo.cols.protocol = "VMBus"
    local tree = root:add(vmbus, tvb())
    if not has(tvb, HEADER, tree, short) then
        return
    end
    local layer = tvb(2, 1):uint()
    tree:add(f.version, tvb(0, 1))
    tree:add(f.direction, tvb(1, 1))
    tree:add(f.layer, tvb(2, 1))
    tree:add_le(f.vm, tvb(8, 4))
    pinfo.cols.src = tvb(1, 1):uint() == 1 and "guest" or "host"
    pinfo.cols.dst = tvb(1, 1):uint() == 1 and "host" or "guest"
    local rest = tvb(HEADER):tvb()
    if layer == 0 then
        tree:add_le(f.target, tvb(4, 4))
        message(rest, pinfo, tree)
    elseif layer == 1 then
        local class = tvb(12, 16):bytes():tohex(true)
        relid(tvb, 4, tree)
        tree:add(f.class, tvb(12, 16), classes[class] or class)
        packet(rest, pinfo, tree, root, class)
    else
        tree:add(f.body, rest())
    end
end
