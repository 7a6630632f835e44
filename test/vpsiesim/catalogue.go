package vpsiesim

import (
	"net/url"
	"slices"
)

// tagSet are the tags of one entity.
type tagSet struct {
	entity, identifier string
	tags               []string
}

const tagEntitiesMax = 10_000

// form decodes an urlencoded body; a broken one reads as empty.
func (c *call) form() url.Values {
	values, err := url.ParseQuery(string(c.body))
	if err != nil {
		return url.Values{}
	}
	return values
}

func profile(*call) reply {
	return data(object{
		"id": accountUserID, "name": "Jane Roe", "firstname": "Jane", "lastname": "Roe", "email": "jane@example.com",
		"identifier": "2f3e4d5c-33cc-11ef-9c51-0242ac110005", "status": "active", "current_balance": "100.00", "monthly_charge": "0.00",
	})
}

func listDatacenters(c *call) reply {
	c.model.mu.Lock()
	defer c.model.mu.Unlock()
	rows := []object{}
	for i, d := range c.model.datacenters {
		rows = append(rows, object{
			"identifier": d.Identifier, "dc_name": d.Name, "dc_image": "flag.png", "state": d.State, "country": d.Country,
			"is_active": 1, "is_deleted": 0, "default_selected": bit(i == 0), "is_private": 0,
			"is_fip_available": 1, "is_bucket_available": 0,
		})
	}
	return list(c, rows)
}

func projectRow() object {
	return object{
		"id": defaultProjectID, "name": "Default", "description": "Default project", "identifier": DefaultProject,
		"created_on": "2026-01-01T00:00:00.000Z", "updated_at": "2026-01-01T00:00:00.000Z", "created_by": "Jane Roe", "is_default": 1,
	}
}

func listProjects(c *call) reply {
	rows := c.page([]object{projectRow()})
	return data(object{"rows": rows, "count": 1})
}

func getProject(c *call) reply {
	if c.vars["identifier"] != DefaultProject {
		return data(false)
	}
	return data(projectRow())
}

func listCategories(*call) reply {
	rows := []object{}
	for _, k := range categories {
		rows = append(rows, object{"identifier": k.identifier, "name": k.name})
	}
	return data(rows)
}

// listPlans answers a form; a JSON body has no form fields and fails like a request with missing ones.
func listPlans(c *call) reply {
	form := c.form()
	dc, os, wanted := form.Get("dcIdentifier"), form.Get("osIdentifier"), form.Get("planCatIdentifier")
	if dc == "" || os == "" || wanted == "" {
		return refused(errLost, nil)
	}
	m := c.model
	m.mu.Lock()
	defer m.mu.Unlock()
	rows := []object{}
	i := slices.IndexFunc(categories, func(k category) bool { return k.identifier == wanted })
	if _, ok := m.datacenter(dc); !ok || i < 0 {
		return data(rows)
	}
	for _, o := range m.offers {
		if o.Category != categories[i].letter {
			continue
		}
		rows = append(rows, object{
			"identifier": o.identifierIn(dc), "nickname": o.Nickname, "cpu": o.VCPU, "ram": o.RAMMiB, "ssd": o.DiskGiB,
			"traffic": trafficGB, "price": price(o.PriceCents, c.switches.PriceType), "net_speed": 1000,
		})
	}
	return data(rows)
}

func listTags(c *call) reply {
	query := c.request.URL.Query()
	entity, identifier := query.Get("entity"), query.Get("identifier")
	c.model.mu.Lock()
	defer c.model.mu.Unlock()
	byEntity := map[string][]object{}
	for _, set := range c.model.tags {
		if entity != "" && set.entity != entity || identifier != "" && set.identifier != identifier {
			continue
		}
		for _, tag := range set.tags {
			byEntity[set.entity] = append(byEntity[set.entity],
				object{"name": tag, "entity_type": set.entity, "entity_id": set.identifier})
		}
	}
	return data(byEntity)
}

func addTags(c *call) reply  { return c.writeTags(false) }
func editTags(c *call) reply { return c.writeTags(true) }

func (c *call) writeTags(replace bool) reply {
	f := c.fields()
	set := tagSet{entity: text(f["entity"]), identifier: text(f["identifier"])}
	c.model.mu.Lock()
	defer c.model.mu.Unlock()
	key := set.entity + "/" + set.identifier
	old, known := c.model.tags[key]
	if set.entity == "" || set.identifier == "" || !known && len(c.model.tags) >= tagEntitiesMax {
		return refused(errLost, nil)
	}
	if !replace {
		set.tags = slices.Clone(old.tags)
	}
	tags, _ := f["tags"].([]any)
	for _, tag := range tags {
		if name := text(tag); name != "" && !slices.Contains(set.tags, name) {
			set.tags = append(set.tags, name)
		}
	}
	c.model.tags[key] = set
	return data(true)
}

func deleteTags(c *call) reply {
	f := c.fields()
	c.model.mu.Lock()
	defer c.model.mu.Unlock()
	delete(c.model.tags, text(f["entity"])+"/"+text(f["identifier"]))
	return data(true)
}
