# Rules for single wards are found by where the reading is, and let go where it
# no longer is.
device bus-1 bus
rules
  - id: hot-1
    scope: {zones: [{layer: wards, codes: [w-1]}]}
    when: {threshold: {quantity: temperature, above: 40}}
  - id: hot-2
    scope: {zones: [{layer: wards, codes: [w-2]}]}
    when: {threshold: {quantity: temperature, above: 40}}
end
00:00 bus-1 temperature=45 in wards/w-1
> hot-1 bus-1 unacknowledged
00:05 bus-1 temperature=45 in wards/w-2
> hot-1 bus-1 returned
> hot-2 bus-1 unacknowledged
