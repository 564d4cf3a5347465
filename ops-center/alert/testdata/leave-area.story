# A bus outside every ward has left the city; one without a fix has not.
device bus-1 bus
rules
  - id: gone
    when: {leave: {layer: wards}}
end
00:00 bus-1 speed=30 in wards/w-1
00:05 bus-1 speed=30 at 0,0
00:10 bus-1 speed=30 at 107,21
> gone bus-1 unacknowledged
00:15 bus-1 speed=30 in wards/w-2
> gone bus-1 returned
