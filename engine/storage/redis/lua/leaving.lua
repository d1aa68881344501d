-- jobs leave the states and leases they are in
local function leave(ids, recs)
  local held = {}
  for i = 1, #ids do
    local state = sub(recs[i], 1, 1)
    count(state, -1)
    if state == 'R' then
      local token = sub(recs[i], 6, 21)
      held[token] = (held[token] or 0) + 1
    elseif state == 'S' then
      call('ZREM', P .. 's', ids[i])
    elseif state == 'Y' then
      call('ZREM', P .. 'y', ids[i])
    elseif state == 'D' then
      call('ZREM', P .. 'd', ids[i])
    end
  end
  for token, jobs in pairs(held) do leave_lease(token, jobs) end
end
